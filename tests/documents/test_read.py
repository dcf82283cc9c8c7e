"""The pool of reader processes: order, bounded memory, and what happens to a process that hangs or dies."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import psutil
import pytest

from groundup.documents import Document, FileRecord, Limits, read_documents
from groundup.errors import UserError

# More than is read ahead: the reader process is still at it when the first document is out.
BIG = 180 << 20


def readers(pid: int | None = None) -> list[psutil.Process]:
    children = psutil.Process(pid).children()
    return [child for child in children if "groundup.documents.worker" in child.cmdline()]


def wait_until(condition, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def big(tmp_path) -> Path:
    path = tmp_path / "b_big.txt"
    path.write_bytes((b"A line of text that fills the file up.\n" * 25_000) * (BIG // 975_000))
    return path


def test_documents_precede_their_record_in_the_order_of_files(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.jsonl").write_text('{"text": "b1"}\n{"text": "b2"}\n')
    (tmp_path / "c.txt").write_text("")
    items = list(read_documents([tmp_path]))
    shown = [item.text if isinstance(item, Document) else Path(item.path).name for item in items]
    assert shown == ["a", "a.txt", "b1", "b2", "b.jsonl", "c.txt"]


def test_the_number_of_workers_changes_nothing(tmp_path):
    for n in range(60):
        size = 300_000 if n % 7 == 0 else 10
        (tmp_path / f"{n:03}.txt").write_text(f"file {n}\n" * size)
        (tmp_path / f"{n:03}.jsonl").write_text('{"text": "r"}\n' * (n * 3))

    def everything(workers: int) -> list[tuple]:
        items = read_documents([tmp_path], workers=workers)
        return [
            (item.source, item.text) if isinstance(item, Document) else (item.path, item.status, item.documents)
            for item in items
        ]

    assert everything(1) == everything(2) == everything(5)


def test_a_killed_reader_costs_one_file(tmp_path, big):
    (tmp_path / "a.txt").write_text("before")
    (tmp_path / "c.txt").write_text("after")
    items = read_documents([tmp_path], workers=1)
    seen = [next(items) for _ in range(3)]
    (reader,) = readers()
    reader.kill()
    seen += items
    records = [item for item in seen if isinstance(item, FileRecord)]
    assert [record.status for record in records] == ["read", "failed", "read"]
    assert records[1].path == str(big) and records[1].reason == "the reader process died (signal 9)"
    assert seen[-2].text == "after"


def test_a_reader_that_hangs_is_stopped(tmp_path, big):
    (tmp_path / "c.txt").write_text("after")
    items = read_documents([tmp_path], workers=1, limits=Limits(seconds=2))
    seen = [next(items)]
    (reader,) = readers()
    reader.send_signal(signal.SIGSTOP)
    seen += items
    records = [item for item in seen if isinstance(item, FileRecord)]
    assert [(record.status, record.reason) for record in records] == [
        ("failed", "took longer than 2 s"),
        ("read", ""),
    ]
    assert not reader.is_running()


def test_a_member_that_kills_the_reader_costs_one_member(tmp_path, big):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.txt", "before")
        archive.write(big, "2.txt")
        archive.writestr("3.txt", "after")
    items = read_documents([tmp_path / "a.zip"], workers=1)
    seen = [next(items) for _ in range(3)]
    readers()[0].kill()
    seen += items
    records = [item for item in seen if isinstance(item, FileRecord)]
    base = f"{tmp_path}/a.zip"
    assert [(r.path, r.status) for r in records] == [
        (f"{base}!/1.txt", "read"),
        (f"{base}!/2.txt", "failed"),
        (f"{base}!/3.txt", "read"),
        (base, "read"),
    ]
    assert [item.text for item in seen if isinstance(item, Document) and len(item.text) < 10] == [
        "before",
        "after",
    ]


def test_memory_is_limited(tmp_path, read):
    (tmp_path / "a.json").write_text("[" + "[]," * 8_000_000 + "[]]")
    (tmp_path / "b.json").write_text('"fine"')
    documents, records = read(tmp_path, limits=Limits(memory_bytes=400 << 20))
    assert records[0].status == "failed" and "400 MB of memory" in records[0].reason
    assert [document.text for document in documents] == ["fine"]


def test_the_text_out_of_one_file_is_limited(tmp_path, read):
    (tmp_path / "a.json").write_text('"' + "x" * 5000 + '"')
    (tmp_path / "b.txt").write_text("x" * 5000)
    documents, records = read(tmp_path, limits=Limits(text_bytes=1000))
    assert [record.status for record in records] == ["failed", "read"] and len(documents) == 1
    assert "of text" in records[0].reason


def test_big_files_are_not_held_whole(tmp_path, big):
    (tmp_path / "c_big.txt").write_bytes(big.read_bytes())
    process = psutil.Process()
    before = peak = process.memory_info().rss
    for _ in read_documents([tmp_path], workers=2):
        time.sleep(0.02)  # a consumer slower than the readers
        peak = max(peak, process.memory_info().rss)
    assert peak - before < 250 << 20 < 2 * BIG


def test_closing_early_leaves_no_process(tmp_path, big):
    items = read_documents([tmp_path, tmp_path / "b_big.txt"], workers=2)
    next(items)
    started = readers()
    assert started
    items.close()
    assert not any(child.is_running() for child in started)


def run_reader(folder: Path) -> subprocess.Popen:
    script = (
        "import sys, time, pathlib, groundup.documents as d\n"
        "for item in d.read_documents([pathlib.Path(sys.argv[1])], workers=2):\n"
        "    print('one', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout and process.stdout.readline() == "one\n"
    return process


def test_ctrl_c_ends_all_and_only_the_parent_speaks(tmp_path, big):
    process = run_reader(tmp_path)
    children = readers(process.pid)
    assert children
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert errors.count("Traceback") == 1 and "KeyboardInterrupt" in errors
    wait_until(lambda: not any(child.is_running() for child in children))


def test_readers_end_with_their_parent(tmp_path, big):
    process = run_reader(tmp_path)
    children = readers(process.pid)
    assert children
    process.kill()
    process.communicate()
    wait_until(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children))


def test_modules_in_the_working_folder_are_not_run(tmp_path, monkeypatch):
    for name in ("json", "chardet", "identify", "struct"):
        (tmp_path / f"{name}.py").write_text("import os; open('run', 'w')\nraise SystemExit('ran')\n")
    monkeypatch.chdir(tmp_path)
    records = [item for item in read_documents([Path("json.py")]) if isinstance(item, FileRecord)]
    assert [record.status for record in records] == ["read"] and not (tmp_path / "run").exists()


def test_a_file_that_vanished_fails(tmp_path):
    for n in range(100):
        (tmp_path / f"{n:03}.txt").write_text("text")
    items = read_documents([tmp_path], workers=1)
    seen = [next(items)]
    (tmp_path / "099.txt").rename(tmp_path.parent / "moved.txt")
    seen += items
    assert len(seen) < 200
    last = seen[-1]
    assert isinstance(last, FileRecord) and (last.status == "failed" or last.path.endswith("098.txt"))


def test_no_workers_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="0 reader processes"):
        read_documents([tmp_path], workers=0)


def test_a_reader_starts_fast_and_without_torch():
    script = "import sys, groundup.documents.worker; print('torch' in sys.modules, 'numpy' in sys.modules)"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert time.monotonic() - began < 1.0  # 0.05 s on an idle core
