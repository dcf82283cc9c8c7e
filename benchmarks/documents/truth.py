"""Random documents whose text is known: real words in random order, real code, and other scripts."""

import inspect
import random
import re
import statistics
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module

GENRES = ("prose", "book", "columns", "table", "code", "list", "accents", "cjk", "rtl")
_CODE_MODULES = ("argparse", "ast", "calendar", "csv", "datetime", "difflib", "heapq", "json.encoder", "textwrap")
_ACCENTS = {
    "French": "être déjà élève garçon forêt naïve où août cœur français leçon hôtel âge reçu dès goût où île",
    "German": "für über schön größer Straße Übung Mädchen müssen können fähig Öl heißt spät Bücher Füße weiß süß",
    "Spanish": "año niño señor mañana corazón también además país música árbol café días sueño pequeño después lengua",
    "Polish": "żółty źródło część książka święto łódź dzień ćma mąż gęś kość późno różny świat życie łąka ósmy",
    "Czech": "příliš žluťoučký kůň úpěl ďábelské ódy řeka město děti čas škola žena těžký hvězda večeře srdce",
    "Turkish": "ışık güneş çocuk ağaç şehir öğrenci kırmızı büyük küçük değil için yağmur çiçek gümüş doğru",
    "Greek": "καλημέρα άνθρωπος θάλασσα ήλιος γράμμα λόγος ημέρα νερό δρόμος γλώσσα ουρανός φύλλο χέρι σπίτι",
    "Russian": "время человек слово город вода книга объект ёлка большой щука жизнь этот солнце дорога язык ночь",
}
_CJK = {
    "Japanese": "日本語 文章 これは 私たち 東京 学校 でした ます 時間 読む ことが 新しい コンピュータ データ 山 川",
    "Chinese": "中文 我们 学习 语言 世界 时间 图书 重要 发展 研究 可以 问题 数据 因为 城市 今天 朋友 没有 工作",
    "Korean": "한국어 우리는 학교에 시간이 책을 읽고 사람들이 새로운 세계를 오늘 중요한 문제를 친구와 도시의",
}
_RTL = {
    "Hebrew": "שלום עולם ספר מים יום לילה בית ילדים שמש ירח דרך אור לב חכמה תורה שנה עיר ארץ אדם מילה",
    "Arabic": "مرحبا العالم كتاب ماء يوم ليل بيت أطفال شمس قمر طريق نور قلب حكمة سنة مدينة أرض إنسان كلمة",
}


@dataclass(frozen=True)
class Block:
    """A part of a document: `kind` is "heading", "paragraph", "list", "table" or "code"."""

    kind: str
    text: str = ""
    items: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    language: str = ""

    def plain(self) -> str:
        """Its text in reading order: list items and table rows a line each, cells with a tab between them."""
        if self.rows:
            return "\n".join("\t".join(row) for row in self.rows)
        return "\n".join(self.items) if self.items else self.text


@dataclass(frozen=True)
class Truth:
    """One document and all that a faithful reader gives of it."""

    genre: str
    blocks: list[Block] = field(default_factory=list)

    def plain(self) -> str:
        """The whole text, blocks a blank line apart."""
        return "\n\n".join(block.plain() for block in self.blocks)

    def code(self) -> list[str]:
        """The blocks of code, which must be kept to the byte."""
        return [block.text for block in self.blocks if block.kind == "code"]


def make(genre: str, pages: float, rng: random.Random) -> Truth:
    """A random document of about `pages` pages (3,000 characters each) of one of GENRES, or "mixed": all but "book"
    and "columns", as an office file may hold them."""
    if genre == "mixed":
        parts = [make(part, pages / 7, rng) for part in ("prose", "list", "table", "accents", "code", "cjk", "rtl")]
        return Truth(genre, [block for part in parts for block in part.blocks])
    blocks = [Block("heading", " ".join(_draw(words(), rng, 4)).capitalize())]
    while sum(len(block.plain()) for block in blocks) < 3000 * pages:
        blocks += _section(genre, rng)
    return Truth(genre, blocks)


def _section(genre: str, rng: random.Random) -> list[Block]:
    if genre == "table":
        return [_paragraph(words(), rng), Block("table", rows=_rows(rng))]
    if genre == "code":
        return [_paragraph(words(), rng), Block("code", _code(rng), language="python")]
    if genre == "list":
        items = tuple(sentence(words(), rng) for _ in range(rng.randint(3, 8)))
        return [_paragraph(words(), rng), Block("list", items=items)]
    scripts = {"accents": _ACCENTS, "cjk": _CJK, "rtl": _RTL}.get(genre)
    if scripts:
        language = rng.choice(list(scripts))
        return [_paragraph(scripts[language].split(), rng, language)]
    if genre == "book" and rng.random() < 0.15:
        return [Block("heading", " ".join(_draw(words(), rng, 3)).capitalize())]
    return [_paragraph(words(), rng)]


def _paragraph(vocabulary: list[str], rng: random.Random, language: str = "") -> Block:
    gap = "" if language in ("Japanese", "Chinese") else " "
    text = gap.join(sentence(vocabulary, rng, language) for _ in range(rng.randint(2, 6)))
    return Block("paragraph", text, language=language)


def sentence(vocabulary: list[str], rng: random.Random, language: str = "") -> str:
    """A random sentence with commas and, in English, now and then a number, a quotation or parentheses."""
    drawn = _draw(vocabulary, rng, rng.randint(6, 16))
    if language in ("Japanese", "Chinese"):
        return "".join(drawn[: len(drawn) // 2]) + "、" + "".join(drawn[len(drawn) // 2 :]) + "。"
    if language in _RTL:
        return " ".join(drawn) + "."
    for at in range(2, len(drawn) - 1):
        if rng.random() < 0.1:
            drawn[at] += ","
    if not language:
        at = rng.randrange(1, len(drawn) - 2)
        forms = ("({})", "“{}”", "‘{}’", "{}’s", "{} – ", "{}; ", f"{rng.randint(2, 99999)} {{}}", "{}-like")
        if rng.random() < 0.4:
            drawn[at] = rng.choice(forms).format(drawn[at].rstrip(",")).strip()
    text = " ".join(drawn)
    return text[0].upper() + text[1:] + rng.choice("....?!")


def _rows(rng: random.Random) -> tuple[tuple[str, ...], ...]:
    columns = rng.randint(3, 5)
    kinds = [rng.choice(("word", "number", "words")) for _ in range(columns)]
    rows = [tuple(word.capitalize() for word in _draw(words(), rng, columns))]
    for _ in range(rng.randint(4, 12)):
        cells = []
        for kind in kinds:
            if kind == "number":
                cells.append(
                    rng.choice((f"{rng.randint(0, 9999)}", f"{rng.uniform(0, 999):.2f}", f"{rng.random():.1%}"))
                )
            else:
                cells.append(" ".join(_draw(words(), rng, 1 if kind == "word" else 2)))
        rows.append(tuple(cells))
    return tuple(rows)


def _draw(vocabulary: list[str], rng: random.Random, count: int) -> list[str]:
    return [rng.choice(vocabulary) for _ in range(count)]


@cache
def words() -> list[str]:
    """About a thousand English words, those of the Python reference that every Python carries."""
    from pydoc_data.topics import topics

    found = re.compile(r"(?<![\w`*.\"'-])[a-z]{2,12}(?![\w`*(\"'-]|\.\w)")
    counts = Counter(word for text in topics.values() for word in found.findall(text))
    return sorted(word for word, count in counts.items() if count >= 5)


def _code(rng: random.Random) -> str:
    return rng.choice(_functions())


@cache
def _functions() -> list[str]:
    """Functions of the standard library that fit a page's width."""
    modules = [statistics, textwrap, random, *map(import_module, _CODE_MODULES)]
    found = []
    for module in modules:
        for _, function in sorted(inspect.getmembers(module, inspect.isfunction)):
            if function.__module__ == module.__name__:
                source = textwrap.dedent(inspect.getsource(function)).rstrip("\n")
                lines = source.split("\n")
                if 8 <= len(lines) <= 35 and max(map(len, lines)) <= 79 and "\t" not in source:
                    found.append(source)
    return found
