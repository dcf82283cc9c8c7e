import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.documents.encoding import decode_pieces, find_encoding, plain

WESTERN = "Café déjà vu: naïve façade, £20, ½ cup. Straße und Übung. " * 5
JAPANESE = "日本語のテキストです。これは試験です。" * 10
RUSSIAN = "Это проверка кодировки текста. " * 10
CHINESE = "这是一个测试文件，用来检查编码。" * 10

# Short texts, each with the encodings from before UTF-8 that it may be written in.
LEGACY = {
    "French": (
        "Le café était fermé à midi, dit le garçon. Nous avons donc marché jusqu'au théâtre, où une vieille "
        "dame âgée nous a raconté l'été de sa jeunesse près de la forêt.",
        "cp1252 latin-1 iso8859-15 mac_roman cp850",
    ),
    "French marks": (
        "Le cœur de la ville s’est vidé : l’œuvre coûte 12 € « à l’entrée » – déjà payée.",
        "cp1252",
    ),
    "French nine": (
        "Le coeur de la sœur bat très fort, et l'œuvre a coûté quarante € à la mairie de Nîmes.",
        "iso8859-15",
    ),
    "Italian": (
        "Perché la città è così bella? Chi vive laggiù dice che la qualità dell'aria è migliore, però "
        "l'università è più lontana di quanto si creda.",
        "cp1252 latin-1 iso8859-15",
    ),
    "German": (
        "Die Straße führt über den Hügel zum Schloß. Früher fuhren hier täglich größere Züge, heute gehört "
        "die Brücke den Fußgängern und Radfahrern aus Köln.",
        "cp1252 latin-1 iso8859-15 cp850",
    ),
    "Spanish": (
        "El niño comió una manzana en la montaña. Mañana iré al médico con mi señora; ¿quién cuidará del "
        "jardín y de los pájaros este otoño?",
        "cp1252 latin-1 iso8859-15",
    ),
    "Portuguese": (
        "A educação não começa na escola: é em casa que as crianças aprendem as primeiras lições de atenção e"
        " de paciência com os avós.",
        "cp1252 latin-1",
    ),
    "Swedish": (
        "Många åker till skärgården på sommaren, där öarna är små och vattnet är kallt även i början av juli.",
        "cp1252 latin-1",
    ),
    "Danish": (
        "Børnene løber ned ad gaden, men på søen er der stadig is, så færgen må vente på et grønt lys til mændene.",
        "cp1252",
    ),
    "Czech": (
        "Příliš mnoho lidí už zapomnělo, že řeka pod městem kdysi sloužila mlynářům. Dnes zůstaly jen staré "
        "zdi, několik šípků a tiché nádvoří s kašnou. Žáci sem chodí ještě každý týden.",
        "cp1250 iso8859-2",
    ),
    "Polish": (
        "Książka leżała na stole, gdzie ją wczoraj zostawiłem. Później wyszliśmy na spacer wzdłuż rzeki, żeby"
        " zobaczyć, jak chłopcy łowią ryby i śpiewają piosenki o pięknej dziewczynie.",
        "cp1250 iso8859-2",
    ),
    "Hungarian": (
        "A földműves reggel óta dolgozik a szőlőben, és közben a régi időkről mesél. Az őszi szél már hűvös, "
        "de a nagy diófa alatt még jól esik leülni.",
        "cp1250 iso8859-2",
    ),
    "Turkish": (
        "Yaşlı adam her sabah erkenden kalkıp denize bakardı. Gökyüzü açık olduğunda karşı kıyıdaki dağları "
        "görür, çocukluğunu ve eski arkadaşlarını düşünürdü.",
        "cp1254 iso8859-9",
    ),
    "Russian": (
        "Утром мы вышли из дома и долго шли вдоль реки. Старый мост давно разрушился, поэтому пришлось искать"
        " лодку у рыбаков. К вечеру все устали.",
        "cp1251 koi8-r iso8859-5 cp866",
    ),
    "Russian code": (
        "# Читает файл и возвращает строки\ndef read(path):\n    return open(path).readlines()  # список строк\n",
        "cp1251 koi8-r cp866",
    ),
    "Ukrainian": (
        "Вранці діти побігли до лісу збирати гриби. Їхня бабуся лишилася вдома, бо мала ще зварити обід і "
        "нагодувати свійських птахів біля хліва.",
        "cp1251 koi8-u",
    ),
    "Greek": (
        "Το πρωί βγήκαμε από το σπίτι και περπατήσαμε ως τη θάλασσα. Ο παλιός φάρος ήταν κλειστός, αλλά ένας "
        "ψαράς μας έδειξε τον δρόμο για το χωριό.",
        "cp1253 iso8859-7",
    ),
    "Hebrew": (
        "בבוקר יצאנו מהבית והלכנו לאורך הנהר עד הגשר הישן. איש זקן ישב שם וסיפר לנו על הימים שבהם היו כאן "
        "סירות ודייגים רבים.",
        "cp1255 iso8859-8",
    ),
    "Arabic": (
        "خرجنا في الصباح من البيت ومشينا على طول النهر حتى الجسر القديم. كان هناك رجل عجوز يحكي لنا عن الأيام"
        " التي كانت فيها القوارب كثيرة.",
        "cp1256 iso8859-6",
    ),
    "Thai": (
        "ตอนเช้าเราออกจากบ้านและเดินไปตามแม่น้ำจนถึงสะพานเก่า มีชายชราคนหนึ่งนั่งเล่าเรื่องในอดีตให้เราฟัง",
        "cp874",
    ),
    "Japanese": (
        "朝早く家を出て、川に沿って古い橋まで歩いた。そこには一人の老人がいて、昔この町に船がたくさんあったころの話をしてくれた。カメラを持っていけば"
        "よかった。",
        "shift_jis cp932 euc_jp iso2022_jp",
    ),
    "Chinese": (
        "早上我们离开家，沿着河一直走到那座旧桥。有一位老人坐在那里，给我们讲从前这里有很多船的故事。我们使用Python编写程序，然后回家。",
        "gb2312 gbk gb18030",
    ),
    "Taiwanese": (
        "早上我們離開家，沿著河一直走到那座舊橋。有一位老人坐在那裡，給我們講從前這裡有很多船的故事，聽完以後我們就回家了。",
        "big5",
    ),
    "Korean": (
        "아침에 우리는 집을 나와 강을 따라 오래된 다리까지 걸었다. 그곳에는 한 노인이 앉아 옛날에 배가 많았던 "
        "시절의 이야기를 "
        "들려주었다.",
        "euc_kr cp949",
    ),
    "English": (
        "The naïve fiancée left her résumé at the café, where ½ cup of sugar costs £2; the coöperative opens "
        "at 8 and the menu is à la carte.",
        "cp1252 latin-1",
    ),
    "Finnish": (
        "Hän näki järven jäällä pienen pöydän, jonka ääressä vanha mies söi hyvää päivällistä yhdessä "
        "työtovereittensa kanssa.",
        "cp1252 iso8859-15",
    ),
    "Norwegian": (
        "Å, så vakker øya er når sola går ned bak åsen! Være her i går kveld var en glede for både små og store.",
        "latin-1",
    ),
    "Icelandic": (
        "Það er ekki auðvelt að læra íslensku, en þeir sem búa hér þurfa að geta talað við nágranna sína á götunni.",
        "cp1252",
    ),
    "Catalan": (
        "L'any passat vam anar a la platja amb l'avi; això no és fàcil, però aquella nit el mar era tranquil "
        "i l'aigua col·lapsava el camí.",
        "cp1252 latin-1",
    ),
    "Slovak": (
        "Keď som bol malý, chodieval som s otcom k rieke. Vždy sme tam našli ľudí, ktorí chytali ryby a "
        "rozprávali príbehy.",
        "cp1250 iso8859-2",
    ),
    "Croatian": (
        "Čovjek je sjedio kraj mora i gledao brodove koji odlaze. Jučer je kiša padala cijeli dan, a danas "
        "već sja sunce.",
        "cp1250 iso8859-2",
    ),
    "Romanian": (
        "În fiecare dimineaţă bătrânul îşi deschide fereastra şi priveşte munţii. Ştie că vântul va aduce "
        "ploaia până seara.",
        "cp1250 iso8859-2",
    ),
    "Lithuanian": (
        "Kiekvieną rytą senelis eidavo prie ežero žiūrėti, kaip žvejai traukia tinklus. Šiandien ten tuščia ir tylu.",
        "cp1257",
    ),
    "Bulgarian": (
        "Сутринта излязохме от къщата и дълго вървяхме край реката. Старият мост беше разрушен и трябваше да "
        "търсим лодка.",
        "cp1251",
    ),
    "Serbian": (
        "Ујутро смо изашли из куће и дуго ходали поред реке. Стари мост је одавно срушен, па смо морали да "
        "тражимо чамац.",
        "cp1251",
    ),
    "German code": (
        "/* Größe des Puffers in Bytes, für jede Übertragung */\nint size = 4096; // muß durch 8 teilbar sein\n",
        "latin-1 cp850",
    ),
    "French code": (
        "# Calcule la moyenne des éléments\n"
        "def moyenne(xs):\n"
        "    # évite la division par zéro\n"
        "    return sum(xs) / len(xs)\n",
        "latin-1",
    ),
}


def decoded(data: bytes) -> str | None:
    found = find_encoding(data)
    if found is None:
        return None
    codec, mark = found
    return data[mark:].decode(codec, "replace")


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (WESTERN, "utf-8"),
        (WESTERN, "utf-8-sig"),
        (WESTERN, "utf-16"),
        (WESTERN, "utf-32"),
        (WESTERN, "latin-1"),
        (WESTERN, "cp1252"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc-jp"),
        (RUSSIAN, "koi8-r"),
        (CHINESE, "gb18030"),
    ],
)
def test_text_is_the_same_in_every_encoding(text, codec):
    assert decoded(text.encode(codec)) == text


def legacy(cut: int | None = None) -> list[tuple[str, str]]:
    """Texts and their encodings; `cut`: in pieces of so many characters."""
    return [
        (text[at : at + (cut or len(text))], codec)
        for text, codecs_of_it in LEGACY.values()
        for codec in codecs_of_it.split()
        for at in range(0, len(text), cut or len(text))
    ]


@pytest.mark.parametrize(("text", "codec"), legacy())
def test_short_texts_in_old_encodings_are_decoded_as_they_were_written(text, codec):
    assert decoded(text.encode(codec)) == text


def test_of_pieces_of_a_line_nearly_all_are_decoded():
    texts = legacy(cut=50)
    good = sum(decoded(text.encode(codec)) == text for text, codec in texts)
    assert good >= 0.97 * len(texts)


def test_escapes_for_a_terminal_are_not_japanese():
    assert find_encoding(b"\x1b[1mbold\x1b(B\x1b[m plain") == ("utf-8", 0)


def test_utf16_without_mark_is_told_by_its_zeros():
    text = "Plain words without a mark. " * 10
    assert decoded(text.encode("utf-16-le")) == text
    assert decoded(text.encode("utf-16-be")) == text


def test_big_endian_mark_is_taken_off():
    assert decoded(codecs.BOM_UTF16_BE + "mark".encode("utf-16-be")) == "mark"


def test_typographic_marks_are_windows_not_hebrew():
    text = "“Smart quotes” – it’s €5… " * 20
    assert decoded(text.encode("cp1252")) == text


def test_one_bad_byte_does_not_change_the_encoding():
    text = WESTERN * 50
    data = text.encode() + b"\xff" + text.encode()
    assert decoded(data) == text + "\ufffd" + text


def test_character_cut_at_the_end_stays_utf8():
    assert decoded(("日本語" * 400).encode()[:-1]) == ("日本語" * 400)[:-1] + "\ufffd"


@pytest.mark.parametrize("data", [b"hello\0world\0" * 50, bytes(range(256)) * 20, bytes(1000)])
def test_binary_data_have_no_encoding(data):
    assert find_encoding(data) is None


@given(st.text(), st.integers(1, 7), st.sampled_from(["utf-8", "utf-16-le", "utf-32-be"]))
def test_pieces_decode_like_the_whole(text, size, codec):
    data = text.encode(codec)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(decode_pieces(chunks, codec)) == expected


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_plain_text_can_be_written_and_has_one_kind_of_newline(text):
    result = plain(text)
    result.encode()
    assert "\r" not in result and "\0" not in result


def test_plain_text_keeps_what_the_cleaners_look_for():
    text = "Cafe\u0301\x0c\x1b[1mÃ©\u200b \t\n\n\n\n\n.\r\nb\rc\0\ud800"
    assert plain(text) == "Cafe\u0301\x0c\x1b[1mÃ©\u200b \t\n\n\n\n\n.\nb\nc\ufffd"
