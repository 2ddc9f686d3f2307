"""document-storage on real files, from several threads and processes."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qtforge_builtin_plugins.documents.messages import (
    AnalysisResults,
    FindRequest,
    StoreRequest,
    StoreResponse,
)
from qtforge_builtin_plugins.documents.storage import DocumentStorage, StorageConfig
from qtforge_sdk import OperationError, PluginContext, Published
from qtforge_sdk.messages import (
    Attachment,
    DiscardRequest,
    DocumentMetadata,
    DocumentStored,
    ParseResponse,
)


class Storage:
    """The plugin with a bus that only records."""

    def __init__(self, folder: Path, config: StorageConfig) -> None:
        self.published: list[tuple[str, Any]] = []
        self.path = Path(config.path or folder / "documents.sqlite")
        self.plugin = DocumentStorage()
        self.plugin.config = config
        context = PluginContext(
            name="document-storage",
            version="1.0.0",
            bus=self,  # type: ignore[arg-type]
            data_dir=folder,
            host_version="1.0.0",
        )
        asyncio.run(self.plugin.start(context))

    async def publish(self, topic: str, message: object) -> Published:
        self.published.append((topic, message))
        return Published(delivered=1, dropped=0)

    def store(self, text: str, **kwargs: Any) -> StoreResponse:
        return asyncio.run(self.plugin.store(make_request(text, **kwargs)))

    def discard(self, **kwargs: Any) -> int:
        return self.plugin.discard(DiscardRequest(**kwargs)).discarded

    def find(self, query: str, limit: int = 20) -> list[str]:
        found = self.plugin.find(FindRequest(query=query, limit=limit))
        return [document.name for document in found.documents]

    def count(self, table: str) -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(count)


def make_request(
    text: str,
    *,
    name: str = "a.txt",
    sha256: str | None = None,
    title: str | None = None,
    request_id: str | None = None,
    attachments: Sequence[Attachment] = (),
) -> StoreRequest:
    return StoreRequest(
        parsed_content=text,
        attachments=list(attachments),
        metadata=DocumentMetadata(
            name=name,
            media_type="text/plain",
            size_bytes=len(text),
            sha256=sha256 or f"{hash(text) & (2**256 - 1):064x}",
            words=len(text.split()),
            title=title,
        ),
        analysis_results=AnalysisResults(
            language="en",
            language_confidence=1.0,
            document_type="legal",
            confidence=0.9,
            evidence=[],
        ),
        keywords=["one"],
        request_id=request_id,
    )


MakeStorage = Callable[..., Storage]


@pytest.fixture
def make_storage(tmp_path: Path) -> MakeStorage:
    return lambda **config: Storage(tmp_path / "data", StorageConfig(**config))


@pytest.fixture
def storage(make_storage: MakeStorage) -> Storage:
    return make_storage()


def refusal(action: Callable[[], object]) -> OperationError:
    with pytest.raises(OperationError) as caught:
        action()
    assert caught.value.fix
    return caught.value


def test_what_is_stored_is_found(storage: Storage) -> None:
    response = storage.store("The quick brown fox", title="A fable")
    assert response.new_content
    found = storage.plugin.find(FindRequest(query="quick fox"))
    assert found.total == 1
    (document,) = found.documents
    assert document.document_id == response.document_id
    assert document.excerpt == "The [quick] brown [fox]"
    assert (document.title, document.document_type, document.language) == ("A fable", "legal", "en")
    assert document.stored_at.endswith("+00:00")


def test_the_event_is_published_after_the_document_can_be_found(storage: Storage) -> None:
    response = storage.store("words", request_id="run-1")
    assert storage.published == [
        (
            "document.stored",
            DocumentStored(
                document_id=response.document_id,
                sha256=response.sha256,
                name="a.txt",
                document_type="legal",
                request_id="run-1",
            ),
        )
    ]


def test_nothing_is_published_when_storing_fails(make_storage: MakeStorage, tmp_path: Path) -> None:
    storage = make_storage(path=str(tmp_path))  # a folder
    assert refusal(lambda: storage.store("words")).code == "storage.unwritable"
    assert storage.published == []


def test_the_same_request_is_stored_once(storage: Storage) -> None:
    first = storage.store("words", request_id="run-1")
    again = storage.store("words", request_id="run-1")
    assert again.document_id == first.document_id
    assert not again.new_content
    assert storage.count("documents") == 1
    assert len(storage.published) == 2  # at least once


def test_requests_without_an_id_are_documents_of_their_own(storage: Storage) -> None:
    assert storage.store("words").document_id != storage.store("words").document_id
    assert storage.count("documents") == 2


def test_the_same_content_is_kept_once(storage: Storage) -> None:
    first = storage.store("words", name="a.txt")
    second = storage.store("words", name="b.txt")
    assert (first.new_content, second.new_content) == (True, False)
    assert first.sha256 == second.sha256
    assert (storage.count("documents"), storage.count("contents")) == (2, 1)
    assert sorted(storage.find("words")) == ["a.txt", "b.txt"]


def test_a_document_is_discarded_by_its_request(storage: Storage) -> None:
    storage.store("words", request_id="run-1")
    assert storage.discard(request_id="run-1") == 1
    assert storage.find("words") == []
    assert (storage.count("documents"), storage.count("contents")) == (0, 0)


def test_a_document_is_discarded_by_its_id(storage: Storage) -> None:
    assert storage.discard(document_id=storage.store("words").document_id) == 1


def test_discarding_again_does_nothing(storage: Storage) -> None:
    storage.store("words", request_id="run-1")
    assert [storage.discard(request_id="run-1") for _ in range(2)] == [1, 0]
    assert storage.discard(document_id="none", request_id="none") == 0
    assert storage.discard() == 0


def test_discarding_from_a_store_that_does_not_exist_makes_none(storage: Storage) -> None:
    assert storage.discard(request_id="run-1") == 0
    assert storage.find("words") == []
    assert not storage.path.exists()


def test_content_goes_with_its_last_document(storage: Storage) -> None:
    storage.store("words", name="a.txt", request_id="a")
    storage.store("words", name="b.txt", request_id="b")
    storage.discard(request_id="a")
    assert storage.find("words") == ["b.txt"]
    storage.discard(request_id="b")
    assert storage.count("contents") == 0


def test_the_index_forgets_what_is_discarded(storage: Storage) -> None:
    storage.store("alpha beta", request_id="a")
    storage.store("gamma", request_id="b")
    storage.discard(request_id="a")
    with closing(sqlite3.connect(storage.path)) as connection:
        connection.execute("INSERT INTO search (search, rank) VALUES ('integrity-check', 1)")
    assert storage.find("gamma") == ["a.txt"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("MODERN zebra", ["a.txt"]),  # any case, any order
        ("zebra missing", []),  # all words must be there
        ("Report 2026", ["a.txt"]),  # the title counts
        ("a.txt", ["a.txt"]),  # the name counts
        ("cafe", ["a.txt"]),  # without its accent
        ("договор", ["a.txt"]),
        ('"zebra', ["a.txt"]),
        ('zebra" OR "missing', []),
        ("zebra AND", []),
        ("zebra*", ["a.txt"]),
        ("title:zebra", []),
        ("NEAR(zebra", []),
        ("- zebra -", ["a.txt"]),
        ("o'clock", ["a.txt"]),
    ],
)
def test_a_query_is_words_and_nothing_else(
    storage: Storage, query: str, expected: list[str]
) -> None:
    storage.store("A modern zebra at five o'clock in the café. Договор.", title="Report 2026")
    assert storage.find(query) == expected


@pytest.mark.parametrize("query", ["", "   ", '"', "* - ()", "\0"])
def test_a_query_without_words_is_refused(storage: Storage, query: str) -> None:
    storage.store("words")
    assert refusal(lambda: storage.find(query)).code == "storage.invalid_query"


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_the_limit_is_checked(storage: Storage, limit: int) -> None:
    assert refusal(lambda: storage.find("words", limit)).code == "storage.invalid_limit"


def test_the_limit_holds_and_the_total_counts_on(storage: Storage) -> None:
    for number in range(5):
        storage.store(f"words {number}")
    found = storage.plugin.find(FindRequest(query="words", limit=2))
    assert (len(found.documents), found.total) == (2, 5)


def test_the_better_document_comes_first(storage: Storage) -> None:
    storage.store("zebra " + "other words " * 100, name="weak.txt")
    storage.store("zebra zebra", name="strong.txt")
    assert storage.find("zebra") == ["strong.txt", "weak.txt"]


def test_the_database_may_be_elsewhere(make_storage: MakeStorage, tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "else.sqlite"
    make_storage(path=str(path)).store("words")
    assert path.is_file()


def test_a_newer_database_is_left_alone(storage: Storage) -> None:
    storage.store("words")
    with closing(sqlite3.connect(storage.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for action in (lambda: storage.store("more"), lambda: storage.find("words")):
        error = refusal(action)
        assert error.code == "storage.newer"
        assert "99" in error.why
    assert storage.count("documents") == 1


def test_a_damaged_database_is_left_alone(storage: Storage) -> None:
    storage.path.parent.mkdir(parents=True)
    storage.path.write_bytes(b"this is no database\n" * 100)
    assert refusal(lambda: storage.store("words")).code == "storage.damaged"
    assert storage.path.read_bytes() == b"this is no database\n" * 100


def test_a_torn_database_is_damaged(storage: Storage) -> None:
    storage.store("words " * 20_000)
    with closing(sqlite3.connect(storage.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(storage.path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    storage.path.write_bytes(content)
    assert refusal(lambda: storage.store("more")).code == "storage.damaged"


def test_another_applications_database_is_left_alone(storage: Storage) -> None:
    storage.path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(storage.path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    assert refusal(lambda: storage.store("words")).code == "storage.damaged"
    with closing(sqlite3.connect(storage.path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("theirs",)]


def test_a_locked_database_is_waited_for_only_so_long(make_storage: MakeStorage) -> None:
    storage = make_storage(busy_timeout=0.2)
    storage.store("words")
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert refusal(lambda: storage.store("more")).code == "storage.locked"
        assert storage.find("words") == ["a.txt"]  # readers go on
    storage.store("more")
    assert storage.count("documents") == 2


def test_a_new_database_that_another_writer_holds_is_locked(make_storage: MakeStorage) -> None:
    storage = make_storage(busy_timeout=0.2)
    storage.path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert refusal(lambda: storage.store("words")).code == "storage.locked"


def test_a_folder_that_is_a_file_is_unwritable(make_storage: MakeStorage, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    storage = make_storage(path=str(tmp_path / "file" / "documents.sqlite"))
    assert refusal(lambda: storage.store("words")).code == "storage.unwritable"


def test_a_full_disk_is_unwritable_and_nothing_is_half_stored(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.store("words")
    connect = sqlite3.connect

    def connect_to_full_disk(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect_to_full_disk)
        error = refusal(lambda: storage.store("other words " * 50_000))
    assert error.code == "storage.unwritable"
    assert (storage.count("documents"), storage.count("contents")) == (1, 1)


def test_many_threads_store_at_once(storage: Storage) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: storage.store(f"words {number}"), range(40)))
    assert storage.count("documents") == 40


STORE_SOME = """
import sys
from pathlib import Path
from qtforge_builtin_plugins.documents.catalogue import Catalogue
from qtforge_builtin_plugins.documents.messages import StoreRequest
from qtforge_sdk.messages import DocumentMetadata

catalogue = Catalogue(Path(sys.argv[1]), 30.0)
for number in range(10):
    metadata = DocumentMetadata(
        name="a.txt", media_type="text/plain", size_bytes=1, sha256=f"{number % 5:064d}", words=1
    )
    catalogue.store(StoreRequest(parsed_content=f"shared {number % 5}", metadata=metadata))
"""


@pytest.mark.timeout(120)
def test_several_processes_share_a_new_store(storage: Storage) -> None:
    command = [sys.executable, "-c", STORE_SOME, str(storage.path)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert (storage.count("documents"), storage.count("contents")) == (40, 5)


def attachment(text: str, name: str) -> Attachment:
    request = make_request(text, name=name)
    response = ParseResponse(parsed_content=text, metadata=request.metadata)
    return Attachment(name=name, size_bytes=len(text), response=response)


@pytest.mark.parametrize("by", ["document_id", "request_id"])
def test_attachments_are_stored_found_and_discarded_with_their_document(
    storage: Storage, by: str
) -> None:
    attachments = [
        attachment("unpaid invoice", "invoice.eml"),
        Attachment(name="p.png", size_bytes=8, error="a picture"),
        attachment("more words", "more.txt"),
    ]
    storage.store("another mail", request_id="run-10")
    response = storage.store("the mail", request_id="run-1", attachments=attachments)
    again = storage.store("the mail", request_id="run-1", attachments=attachments)
    assert len(response.attachment_ids) == 2
    assert again.attachment_ids == response.attachment_ids
    assert storage.find("unpaid") == ["invoice.eml"]
    stored = [message.name for _, message in storage.published[1:4]]
    assert stored == ["a.txt", "invoice.eml", "more.txt"]
    named = response.document_id if by == "document_id" else "run-1"
    assert storage.discard(**{by: named}) == 3
    assert storage.find("unpaid") == []
    assert storage.count("documents") == 1
