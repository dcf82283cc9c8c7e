"""Files in, documents out: text, code, web pages, Word, PDF, scans, tables and archives become `Document`s.

Untrusted files are parsed in limited child processes, and every file is accounted for by a `FileRecord`."""

from groundup.documents.databases import Server, check_servers
from groundup.documents.document import Document, FileRecord, Limits, Options
from groundup.documents.files import as_sources, find_files
from groundup.documents.read import read_documents

__all__ = [
    "Document",
    "FileRecord",
    "Limits",
    "Options",
    "Server",
    "as_sources",
    "check_servers",
    "find_files",
    "read_documents",
]
