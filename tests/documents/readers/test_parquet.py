import io
import random
import zipfile

import pyarrow as pa
import pytest
from pyarrow import parquet

from groundup.documents import Limits
from groundup.documents.document import Options
from groundup.documents.readers.parquet import read_parquet
from groundup.documents.reading import Reading


def write(path, columns: dict, **settings) -> None:
    parquet.write_table(pa.table(columns), path, **settings)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_every_row_group_in_every_compression(tmp_path, read, compression):
    texts = [f"document {n} é" for n in range(2500)]
    write(tmp_path / "a.parquet", {"id": range(2500), "text": texts}, compression=compression, row_group_size=700)
    documents, (record,) = read(tmp_path)
    assert [document.text for document in documents] == texts
    assert documents[11].source == f"{tmp_path}/a.parquet#12"
    assert (record.reader, record.media_type) == ("parquet", "application/vnd.apache.parquet")


def test_the_content_says_what_it_is_and_archives_may_hold_it(tmp_path, read):
    write(tmp_path / "rows.bin", {"Content": ["one", None, "two"]})
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(tmp_path / "rows.bin", "rows.parquet")
    documents, records = read(tmp_path)
    assert [document.text for document in documents] == ["one", "two"] * 2
    assert records[0].reason == "1 of 3 rows had no text"


def test_without_a_text_column_all_strings_of_a_row_with_their_names(tmp_path, read):
    chat = [[{"role": "user", "content": "hi"}], [{"role": "bot", "content": "ho"}]]
    write(tmp_path / "a.parquet", {"q": ["why", "how"], "n": [1, 2], "chat": chat, "v": [[0.5], [1.5]]})
    assert [document.text for document in read(tmp_path)[0]] == [
        "q: why\nchat.role: user\nchat.content: hi",
        "q: how\nchat.role: bot\nchat.content: ho",
    ]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_type_of_string(tmp_path, read, kind):
    write(tmp_path / "a.parquet", {"n": [1, 2], "text": pa.array(["one", "two"], pa.string()).cast(kind)})
    assert [document.text for document in read(tmp_path)[0]] == ["one", "two"]


def test_bytes_and_bad_utf8_are_read(tmp_path, read):
    bad = pa.array([b"ok \xff", b"two"], pa.binary())
    write(tmp_path / "a.parquet", {"text": bad})
    write(tmp_path / "b.parquet", {"text": pa.Array.from_buffers(pa.string(), 2, bad.buffers())})
    assert [document.text for document in read(tmp_path)[0]] == ["ok \ufffd", "two"] * 2


def test_a_template_reads_columns_and_what_is_in_them(tmp_path, read):
    write(tmp_path / "a.parquet", {"t": ["A", "B"], "m": [{"by": "x"}, {"by": None}], "text": ["no", "no"]})
    documents, _ = read(tmp_path, options=Options(text="{t}: {m.by}"))
    assert [document.text for document in documents] == ["A: x", "B: "]
    documents, (record,) = read(tmp_path, options=Options(text="{t} {body}"))
    assert documents == [] and record.status == "failed" and "'body'" in record.reason
    assert "there are 't', 'm', 'text'" in record.reason


class Counted(io.FileIO):
    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def test_only_the_columns_that_are_needed_are_read(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, {"image": [random.Random(0).randbytes(4_000_000)], "text": ["one"]}, compression="none")
    with Counted(path) as stream:
        reading = Reading("a", "", stream, path.stat().st_size, Limits())
        assert [document.text for document in read_parquet(reading)] == ["one"]
        assert 100 < stream.taken < 100_000


def test_numbers_alone_are_skipped(tmp_path, read):
    write(tmp_path / "a.parquet", {"n": [1, 2]})
    documents, (record,) = read(tmp_path)
    assert documents == [] and record.status == "skipped" and "no column" in record.reason


def test_damaged_files_fail_alone(tmp_path, read):
    write(tmp_path / "good.parquet", {"text": ["fine"] * 3})
    data = (tmp_path / "good.parquet").read_bytes()
    write(tmp_path / "long.parquet", {"text": [random.Random(n).randbytes(40).hex() for n in range(3000)]})
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "long.parquet").read_bytes()[:-100])
    (tmp_path / "tiny.parquet").write_bytes(b"PAR1")
    (tmp_path / "size.parquet").write_bytes(data[:-8] + b"\xff\xff\xff\x7fPAR1")
    (tmp_path / "fake.parquet").write_bytes(b"\0\1\2" * 100)
    documents, records = read(tmp_path)
    assert [document.text for document in documents][:3] == ["fine"] * 3
    status = {record.path.rpartition("/")[2]: (record.status, record.reason) for record in records}
    for name in ("cut.parquet", "tiny.parquet", "size.parquet"):
        assert status[name][0] == "failed" and status[name][1].startswith("damaged Parquet file"), status[name]
    assert status["fake.parquet"] == ("failed", "it is named .parquet, but is not a Parquet file")


def test_any_damage_costs_one_file(tmp_path, read):
    write(tmp_path / "good", {"text": [f"text {n}" for n in range(50)]}, compression="none")
    data = (tmp_path / "good").read_bytes()
    chance = random.Random(1)
    for n in range(60):
        damaged = bytearray(data)
        for _ in range(chance.choice([1, 3, 10])):
            damaged[chance.randrange(4, len(data) - 8)] = chance.randrange(256)
        (tmp_path / f"{n}.parquet").write_bytes(damaged)
    (tmp_path / "z.txt").write_text("after")
    documents, records = read(tmp_path)
    assert len(records) == 62 and documents[-1].text == "after"
    assert all(record.status in ("read", "failed", "skipped") for record in records)


def test_a_bomb_is_refused(tmp_path, read):
    write(tmp_path / "a.parquet", {"text": ["a" * 1_000_000] * 100}, compression="zstd")
    documents, (record,) = read(tmp_path)
    assert record.status == "failed" and "times its size" in record.reason and len(documents) < 90


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "a.parquet"
    letters = random.Random(0).randbytes(50_000).hex()
    schema = pa.schema({"text": pa.string()})
    with parquet.ParquetWriter(path, schema, compression="none") as writer:
        for _ in range(6):
            writer.write_table(pa.table({"text": [letters[k:] for k in range(400)]}, schema))
    with path.open("rb") as stream:
        documents = read_parquet(Reading("a", "", stream, path.stat().st_size, Limits()))
        most = max(pa.total_allocated_bytes() for _ in documents)
    assert most < 100_000_000 < 230_000_000 < path.stat().st_size
