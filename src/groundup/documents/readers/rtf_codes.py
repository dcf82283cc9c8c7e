"""The words of Rich Text Format that matter for its text (Rich Text Format Specification 1.9.1), and its code pages."""

import codecs

CHARACTERS = {
    "tab": "\t",
    "line": "\n",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "emdash": "—",
    "endash": "–",
    "bullet": "•",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "zwj": "\u200d",
    "zwnj": "\u200c",
}

_PASSED_OVER = """
    colortbl stylesheet info generator filetbl revtbl rsidtbl listtable listoverridetable latentstyles datastore
    themedata colorschememapping xmlnstbl userprops template docvar pgptbl passwordhash background protusertbl
    header headerl headerr headerf footer footerl footerr footerf ftnsep ftnsepc ftncn aftnsep aftnsepc aftncn
    pict shppict nonshppict objdata objclass objname sp sn sv shprslt upr nonesttables mmathPict
    fldinst fldtype formfield datafield xe tc rxe txe bkmkstart bkmkend pn pnseclvl
    annotation atnid atnauthor atndate atnref
"""
PASSED_OVER = frozenset(_PASSED_OVER.split())
"""Destinations that hold no text of the document: its tables and properties; what stands on every page; pictures,
objects and second forms of what was written once; instructions of fields, entries of an index; comments."""
_SEEN = "shpinst do shpgrp shptxt dptxbxtext ud nesttableprops moMath moMathPara footnote listtext pntext"
SEEN = frozenset(_SEEN.split())
"""Destinations that hold text although programs that do not know them pass them over."""

CHARSETS = {
    0: "cp1252",
    77: "mac_roman",
    78: "shift_jis",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gbk",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
    255: "cp850",
}
SYMBOL_CHARSET = 2  # of Symbol, and of the pictures of Wingdings and its like

SYMBOLS = dict(enumerate(map(chr, range(128)))) | {
    **dict(zip(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ", strict=True)),
    **dict(zip(b"abcdefghijklmnopqrstuvwxyz", "αβχδεφγηιϕκλμνοπθρστυϖωξψζ", strict=True)),
    **dict(zip(b"\"$'@^`~-", "∀∃∋≅⊥‾∼−", strict=True)),
    **dict(zip(range(0xA1, 0xB0), "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓", strict=True)),
    **dict(zip(range(0xB0, 0xC0), "°±″≥×∝∂•÷≠≡≈…⏐⎯↵", strict=True)),
    **dict(zip(range(0xC0, 0xD0), "ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉", strict=True)),
    **dict(zip(range(0xD0, 0xE0), "∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓", strict=True)),
    **dict(zip(range(0xE0, 0xF0), "◊⟨®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪", strict=True)),
    **dict(zip(range(0xF1, 0xFF), "⟩∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭", strict=True)),
}
"""Byte -> character of the font Symbol (Unicode's mapping table for Adobe Symbol)."""


def known_codec(name: str) -> str:
    """`name` if there is a codec of it, else ""."""
    try:
        return codecs.lookup(name).name
    except LookupError:
        return ""
