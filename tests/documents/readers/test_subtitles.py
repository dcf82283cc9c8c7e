import pytest

SRT = """1
00:00:01,000 --> 00:00:03,500
<i>It was a dark</i> and
stormy night.

2
00:00:03,600 --> 00:00:05,000
{\\an8}The rain fell in <font color="#fff">torrents</font>

3
00:00:05,100 --> 00:00:06,000
- Who is there?
- 42, she said

4
00:00:20,000 --> 00:00:21,000
1 < 2 &amp; true
"""
SAID = "It was a dark and stormy night.\nThe rain fell in torrents\n- Who is there?\n- 42, she said\n1 < 2 & true\n"
VTT = "WEBVTT - title\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE a note\nof two lines\n\n" + (
    SRT.replace(",", ".").replace(". she", ", she").replace("\n3\n", "\nname of a cue\n").replace("{\\an8}", "<v Ann>")
)
SBV = """0:00:01.000,0:00:03.500
It was a dark and
stormy night.

0:00:03.600,0:00:05.000
The rain fell
"""
ASS = """[Script Info]
Title: not said
[V4+ Styles]
Format: Name, Fontname
Style: Default,Arial
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:03.60,0:00:05.00,Default,,0,0,0,,The rain, it fell.
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,not said
Dialogue: 0,0:00:01.00,0:00:03.50,Default,,0,0,0,,{\\i1}It was a dark{\\i0}\\Nand stormy night.
Dialogue: 1,0:00:01.00,0:00:03.50,Default,,0,0,0,,It was a dark and stormy night.
Dialogue: 0,0:00:05.00,0:00:06.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0{\\p0}
"""
ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.000 --> 00:00:02.000 align:start position:0%
{blank}
so<00:00:00.500><c> today</c><00:00:01.000><c> we</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
so today we
{blank}

00:00:02.010 --> 00:00:04.000 align:start position:0%
so today we
look<00:00:02.500><c> at</c><00:00:03.000><c> trees</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
look at trees
{blank}

00:00:04.010 --> 00:00:06.000 align:start position:0%
look at trees
and<00:00:05.000><c> birds</c>
""".replace("{blank}", " ")
GROWING = """1
00:00:00,000 --> 00:00:01,000
we

2
00:00:01,000 --> 00:00:02,000
we look

3
00:00:02,000 --> 00:00:03,000
we look at trees
"""


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.srt", SRT, SAID),
        ("a", SRT, SAID),
        ("a.vtt", VTT, SAID),
        ("a.sbv", SBV, "It was a dark and stormy night.\nThe rain fell\n"),
        ("a.ass", ASS, "It was a dark and stormy night.\nThe rain, it fell.\n"),
        ("a.vtt", ROLLING, "so today we look at trees and birds\n"),
        ("a.srt", GROWING, "we look at trees\n"),
        ("a.srt", SRT.replace("\n\n", "\n \n"), SAID),
    ],
)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_what_is_said_is_kept(tmp_path, read, name, content, text, codec, newline):
    if codec == "utf-16" and name == "a":
        name = "a.srt"
    (tmp_path / name).write_bytes(content.replace("\n", newline).encode(codec))
    (document,), (record,) = read(tmp_path)
    assert document.text == text
    assert (record.reader, record.reason) == ("subtitles", "")


def test_words_that_are_said_twice_stay(tmp_path, read):
    cues = ["No.", "No.", "Why not?", "Because it is late.", "I see.", "Go home.", "You too."]
    lines = [f"{n + 1}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{cue}\n" for n, cue in enumerate(cues)]
    (tmp_path / "a.srt").write_text("\n".join(lines))
    assert read(tmp_path)[0][0].text == "\n".join(cues) + "\n"


def test_japanese_is_joined_without_blanks(tmp_path, read):
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\n暗い嵐の\n夜だった。\n")
    assert read(tmp_path)[0][0].text == "暗い嵐の夜だった。\n"


def test_a_file_without_subtitles_fails(tmp_path, read):
    (tmp_path / "a.srt").write_text("These are words.\n")
    (tmp_path / "b.srt").write_bytes(b"\x7fELF\0\0\1" * 50)
    documents, (first, second) = read(tmp_path)
    assert documents == [] and (first.status, first.reason) == ("failed", "no subtitles in it")
    assert (second.status, second.reason) == ("skipped", "binary")
