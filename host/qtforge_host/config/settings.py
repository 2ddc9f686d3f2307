"""The settings: defaults, the configuration file, and the file that commands write."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from qtforge_host.config.alerts import Alert, read_alerts
from qtforge_host.config.logs import LogRules, read_logs
from qtforge_host.config.permissions import changeable_by_others
from qtforge_host.config.retention import RetentionSettings, read_retention
from qtforge_host.config.telemetry import TelemetrySettings, read_telemetry
from qtforge_host.config.toml_files import managed_path, read_toml
from qtforge_host.sizes import parse_size, size_text
from qtforge_host.validation import check_keys, convert_table, seconds_at
from qtforge_sdk.durations import Duration
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.policies import TopicPolicy
from qtforge_sdk.records import DEFAULT_POOL, POOL_NAME

__all__ = [
    "HostTable",
    "PluginSettings",
    "PluginTable",
    "ScheduleSettings",
    "Settings",
    "config_path_of",
    "load_settings",
    "plugin_config",
    "user_folder",
]

T = TypeVar("T")
logger = logging.getLogger(__name__)

CONFIG_VARIABLE: Final = "QTFORGE_CONFIG"
STATE_VARIABLE: Final = "QTFORGE_STATE_DIR"
JOURNAL_VARIABLE: Final = "QTFORGE_JOURNAL"
BUS_VARIABLE: Final = "QTFORGE_BUS"
_APPLICATION: Final = "qtforge"
_XDG: Final = {
    "config": ("XDG_CONFIG_HOME", ".config"),
    "state": ("XDG_STATE_HOME", ".local/state"),
}
_TABLES: Final = (
    "alerts",
    "host",
    "logs",
    "plugins",
    "retention",
    "schedules",
    "telemetry",
    "topics",
)
_LEAST_MEMORY_BYTES: Final = 64 << 20  # the interpreter and a plugin take 30 MiB
_MOST_MEMORY_BYTES: Final = 1 << 50
_ALERT_PLUGIN: Final = "alert-delivery"
_AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
# Compiled when they are first used, which most commands never do.
_BUS: Final = r"[A-Za-z0-9][A-Za-z0-9._+-]*://.+"
_FILES: Final = (
    r"file:///[^?#\s]+"
    r"|(?:s3|gs|az|abfss?)://(?:[^/?#\[\]\s]+@)?[A-Za-z0-9][\w.-]*(?:[/?][^#\s]*)?"
)
_LONGEST_NAME: Final = 200  # characters of a schedule's name
_JOURNAL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(?P<address>://.*)?", re.DOTALL)


class HostTable(msgspec.Struct, frozen=True, kw_only=True):
    """The table ``[host]`` of the file."""

    import_timeout: Duration = "10s"
    start_timeout: Duration = "10s"
    stop_timeout: Duration = "10s"
    request_timeout: Duration = "30s"
    blocked_after: Duration = "1s"
    quarantine_after: _AtLeastOne = 3
    step_crash_limit: _AtLeastOne = 3
    rest_after: Duration = "30s"
    max_value: int | str = "64 MiB"
    publication_capacity: _AtLeastOne = 10_000
    publication_age: Duration = "1d"
    block: tuple[str, ...] = ()
    journal: str = "sqlite"
    journal_lease: Duration = "10s"
    bus: str = ""
    files: str = ""
    files_timeout: Duration = "60s"
    secrets: str = "secrets.toml"
    worker_threads: _AtLeastOne | None = None
    worker_processes: _AtLeastOne | None = None
    worker_memory: int | str = "2 GiB"
    expression_loop_cost: _AtLeastOne = 50_000
    expression_max_cost: _AtLeastOne = 50_000_000
    expression_timeout: Duration = "10s"
    expression_max_result: int | str = "16 MiB"


class PluginTable(msgspec.Struct, frozen=True, kw_only=True):
    """The table ``[plugins.NAME]`` of the file; None for a key that is absent.

    Attributes:
        enabled: Whether the plugin may load.
        distribution: The only distribution that may provide it.
        config: The plugin's own table, which its ``Config`` validates.
    """

    enabled: bool | None = None
    distribution: str | None = None
    config: dict[str, Any] | None = None


class PluginSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of one plugin.

    Attributes:
        enabled: Whether it may load.
        distribution: The only distribution that may provide it, as written; None for any.
        config: The plugin's own table, not validated; `plugin_config` validates it.
        file: The file that ``config`` is read from.
    """

    enabled: bool = True
    distribution: str | None = None
    config: Mapping[str, Any] = {}
    file: Path


Overlap = Literal["skip", "queue", "cancel", "allow"]
"""What to do at a planned time while a run of the schedule is unfinished."""

CatchUp = Literal["none", "last", "all"]
"""What to do about planned times that passed while no process ran."""


class ScheduleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[schedules.NAME]``: when ``qtforge-host serve`` starts a workflow by itself.

    Attributes:
        workflow: The workflow's name.
        cron: Minute, hour, day of the month, month, day of the week; or a word such as
            ``@daily``; or a list of such expressions.
        every: The time between two runs, in place of ``cron``: counted from ``start``, or from
            midnight UTC.
        timezone: The time zone of ``cron``, ``start`` and ``end``, such as ``Europe/Berlin``.
        start: Nothing is planned before that date or time.
        end: Nothing is planned at that date or time, or later.
        jitter: A run starts up to so much after its planned time.
        input: The input of each run; ``${schedule.planned}`` is its planned time,
            ``${schedule.previous}`` the one before, ``${schedule.name}`` the schedule's name.
        tags: Tags of each run, besides those of the workflow; with the same expressions.
        pool: The pool whose processes execute its runs.
        enabled: Whether the schedule is active.
        overlap: What to do while a run of the schedule is unfinished: ``skip`` the planned time,
            let one ``queue``, ``cancel`` the unfinished run, or ``allow`` both.
        catch_up: What to do about times that were missed while no process ran: ``none``, start
            the ``last`` of them (or ``one``, which is the same), or ``all``.
        catch_up_within: Times that were missed longer ago are left out.
        pause_after: So many failures in a row pause the schedule; never when left out.
    """

    workflow: str
    cron: str | tuple[str, ...] = ()
    every: Duration | None = None
    timezone: str = "UTC"
    start: Any = None
    end: Any = None
    jitter: Duration | None = None
    input: dict[str, Any] = {}
    tags: dict[str, str] = {}
    pool: Annotated[str, msgspec.Meta(pattern=rf"^{POOL_NAME}(?!\n)$", examples=["default"])] = (
        DEFAULT_POOL
    )
    enabled: bool = True
    overlap: Overlap = "skip"
    catch_up: Literal["none", "last", "one", "all"] = "none"
    catch_up_within: Duration = "1d"
    pause_after: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be configured, with defaults filled in.

    Attributes:
        config_path: The configuration file; it may not exist.
        state_dir: The directory of runs, caches and the data of plugins; it may not exist yet.
        safe_mode: Whether only built-in plugins load.
        import_timeout_s: How long one plugin's import may take, in seconds.
        start_timeout_s: How long one plugin's start may take, in seconds.
        stop_timeout_s: How long one plugin's stop may take, in seconds.
        request_timeout_s: How long a request without a timeout may take, in seconds.
        blocked_after_s: How long plugin code may block the event loop before that is reported,
            in seconds.
        quarantine_after: How many failed starts in a row quarantine a plugin.
        step_crash_limit: How many processes may die in a step before it fails.
        rest_after_s: How long a run that waits stays in memory in ``serve``; a sleep that takes
            longer needs no memory meanwhile. In seconds.
        max_value_bytes: The largest value that a run keeps (an input, a step's or a run's result,
            an event, a state machine's data), in bytes.
        publication_capacity: So many publications of other processes wait for ``serve``.
        publication_age_s: So long a publication waits, in seconds.
        block: Patterns (fnmatch) of plugin or distribution names that never load.
        journal: Which journal keeps the runs: ``sqlite``, ``memory``, another that is installed,
            or the address of a shared one.
        journal_option: The option or variable that named the journal; "" for the configuration.
        journal_lease_s: How long a process owns its runs in a shared journal without a sign of
            life, in seconds.
        bus: The address of the bus to other nodes; "" for none.
        bus_option: The option or variable that named the bus; "" for the configuration.
        files: The address of the folder or object store with the files of all plugins
            (`PluginContext.files`); "" for the plugins' own folders in the state directory.
        files_timeout_s: How long one call of it may take, in seconds.
        only: The plugins that alone may load; None for all.
        secrets: The file with what stands for ``${secret.NAME}``, from the configuration's folder.
        worker_threads: How many threads run ``def`` operations; None is the host's choice.
        worker_processes: How many processes run process operations; None likewise.
        worker_memory_bytes: How much memory a worker process may take, with its children.
        expression_loop_cost: The highest cost of an expression that is evaluated on the event
            loop, in steps.
        expression_max_cost: The highest cost of an expression that is evaluated at all.
        expression_timeout_s: How long an evaluation in a worker process may take, in seconds.
        expression_max_result_bytes: The largest value of an expression, in bytes.
        topics: Topic to its policies, of those that the configuration names.
        plugins: Plugin name to its settings, of those that the configuration names.
        schedules: Schedule name to what it says.
        retention: How long runs stay after their end.
        logs: What is kept of the logs of runs.
        telemetry: Whether runs are traced.
        alerts: Who is told of failures, by the alert's name.
    """

    config_path: Path
    state_dir: Path
    safe_mode: bool = False
    import_timeout_s: float = 10.0
    start_timeout_s: float = 10.0
    stop_timeout_s: float = 10.0
    request_timeout_s: float = 30.0
    blocked_after_s: float = 1.0
    quarantine_after: int = 3
    step_crash_limit: int = 3
    rest_after_s: float = 30.0
    max_value_bytes: int = 64 << 20
    publication_capacity: int = 10_000
    publication_age_s: float = 86_400.0
    block: tuple[str, ...] = ()
    journal: str = "sqlite"
    journal_option: str = ""
    journal_lease_s: float = 10.0
    bus: str = ""
    bus_option: str = ""
    files: str = ""
    files_timeout_s: float = 60.0
    only: frozenset[str] | None = None
    secrets: str = "secrets.toml"
    worker_threads: int | None = None
    worker_processes: int | None = None
    worker_memory_bytes: int = 2 << 30
    expression_loop_cost: int = 50_000
    expression_max_cost: int = 50_000_000
    expression_timeout_s: float = 10.0
    expression_max_result_bytes: int = 16 << 20
    topics: Mapping[str, TopicPolicy] = MappingProxyType({})
    plugins: Mapping[str, PluginSettings] = {}
    schedules: Mapping[str, ScheduleSettings] = {}
    retention: RetentionSettings = RetentionSettings()
    logs: LogRules = LogRules()
    telemetry: TelemetrySettings = TelemetrySettings()
    alerts: Mapping[str, Alert] = MappingProxyType({})

    @property
    def journal_name(self) -> str:
        """The name of the journal, which an address has as its scheme."""
        return self.journal.partition("://")[0]

    @property
    def log_directory(self) -> Path | None:
        """Where the logs of runs are kept; None where the runs are in memory."""
        return None if self.journal_name == "memory" else self.state_dir

    @property
    def has_shared_journal(self) -> bool:
        """Whether other machines may use the same journal: it has an address."""
        return "://" in self.journal

    @property
    def journal_source(self) -> str:
        """What named the journal, for errors."""
        return self.journal_option or f"{self.config_path}: host.journal"

    @property
    def shown_journal(self) -> str:
        """The journal as it may be shown: an address without user, password and parameters.

        A password may contain the characters that separate it from the rest, so that all up to
        the last ``@`` is left out.
        """
        name, separator, rest = self.journal.partition("://")
        return f"{name}{separator}{rest.rpartition('@')[2].partition('?')[0]}"

    def with_journal(self, journal: str, option: str = "", /) -> Settings:
        """Return these settings with another journal.

        Args:
            journal: Its name, or its address.
            option: The option or variable that named it; "" for the configuration.

        Raises:
            ConfigError: It is neither; the text does not repeat it, as it may contain a password.
        """
        changed = msgspec.structs.replace(self, journal=journal, journal_option=option)
        if _JOURNAL.fullmatch(journal) is None or not journal.isprintable():
            raise ConfigError(
                changed.journal_source,
                "it is neither the name nor the address of a journal",
                "give sqlite, or an address such as postgresql://USER:${secret.NAME}@HOST/DATABASE",
            )
        return changed

    @property
    def bus_source(self) -> str:
        """What named the bus, for errors."""
        return self.bus_option or f"{self.config_path}: host.bus"

    @property
    def shown_bus(self) -> str:
        """The address of the bus as it may be shown; see `shown_journal`."""
        name, separator, rest = self.bus.partition("://")
        return f"{name}{separator}{rest.rpartition('@')[2].partition('?')[0]}"

    def with_bus(self, bus: str, option: str = "", /) -> Settings:
        """Return these settings with another bus.

        Args:
            bus: Its address; "" for none.
            option: The option or variable that named it; "" for the configuration.

        Raises:
            ConfigError: It is no address; the text does not repeat it, as it may contain a secret.
        """
        changed = msgspec.structs.replace(self, bus=bus, bus_option=option)
        if bus and (re.fullmatch(_BUS, bus, re.DOTALL) is None or not bus.isprintable()):
            raise ConfigError(
                changed.bus_source,
                "it is not the address of a bus",
                "give one such as nats://HOST:4222 or tls://HOST:4222?nkey=${secret.NAME}",
            )
        return changed

    @property
    def files_source(self) -> str:
        """What named the files of plugins, for errors."""
        return f"{self.config_path}: host.files"

    @property
    def files_folder(self) -> Path | None:
        """The folder that ``files`` is the address of; None for an object store, and for none."""
        scheme, _, path = self.files.partition("://")
        return Path(urllib.parse.unquote(path)) if scheme == "file" else None

    @property
    def journal_id(self) -> str:
        """What is the same for all processes that share the runs of a journal."""
        import hashlib  # its first import makes OpenSSL ready, in 3 ms

        place = self.journal.rpartition("@")[2]
        if not self.has_shared_journal:
            place = f"{place} {socket.gethostname()} {self.state_dir}"
        return hashlib.sha256(place.encode()).hexdigest()[:16]

    @property
    def run_files_dir(self) -> Path:
        """The folder for files of runs: on all machines the same where they share both.

        That is a journal, and a folder for files. A folder may be shared by several journals.
        """
        shared = self.files_folder
        if shared is None or not self.has_shared_journal:
            return self.state_dir / "run-files"
        return shared / ".run-files" / self.journal_id

    @property
    def shown_files(self) -> str:
        """The address of plugins' files as it may be shown; see `shown_journal`."""
        name, separator, rest = self.files.partition("://")
        return f"{name}{separator}{rest.rpartition('@')[2].partition('?')[0]}"

    @property
    def secrets_path(self) -> Path:
        """The file with the secrets; it may not exist."""
        return self.config_path.parent / Path(self.secrets).expanduser()

    def plugin(self, name: str, /) -> PluginSettings:
        """Return the configuration of one plugin, or the defaults."""
        return self.plugins.get(name) or PluginSettings(file=self.config_path)


def config_path_of(config_path: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the configuration file; see `load_settings`."""
    named = config_path or _path_in(environ, CONFIG_VARIABLE)
    return named or user_folder("config") / "config.toml"


def user_folder(kind: Literal["config", "state"]) -> Path:
    """Return the user's folder for configurations or states, as platformdirs names it."""
    if sys.platform.startswith("linux"):  # the XDG Base Directory Specification
        variable, default = _XDG[kind]
        base = os.environ.get(variable, "")
        if os.path.isabs(base):
            return Path(base) / _APPLICATION
        if not base.strip() and os.path.isabs(home := os.path.expanduser("~")):
            return Path(home, default, _APPLICATION)
    import platformdirs  # slow to import, and needed elsewhere only

    if kind == "config":
        return platformdirs.user_config_path(_APPLICATION)
    return platformdirs.user_state_path(_APPLICATION)


def load_settings(
    config_path: Path | None,
    *,
    environ: Mapping[str, str],
    state_dir: Path | None = None,
    journal: str | None = None,
    bus: str | None = None,
    safe_mode: bool = False,
) -> Settings:
    """Read the configuration.

    Args:
        config_path: The file given on the command line; None means ``QTFORGE_CONFIG``,
            else the user's ``config.toml``, which need not exist.
        environ: The environment variables.
        state_dir: The folder given on the command line; None means
            ``QTFORGE_STATE_DIR``, else the user's state directory.
        journal: The journal given on the command line; None means ``QTFORGE_JOURNAL``, else
            ``journal`` of the file.
        bus: The bus given on the command line; None means ``QTFORGE_BUS``, else ``bus`` of the
            file.
        safe_mode: Whether only built-in plugins load.

    Raises:
        ConfigError: A given file is missing, or a file is not valid.
    """
    named = config_path or _path_in(environ, CONFIG_VARIABLE)
    path = config_path_of(config_path, environ)
    state = state_dir or _path_in(environ, STATE_VARIABLE)
    document = _read(path, required=named is not None)
    _warn_of_writers(path)
    check_keys(document, _TABLES, str(path))
    managed = managed_path(path)
    managed_document = _read(managed, required=False)
    check_keys(managed_document, ("plugins",), str(managed))
    written = _table(document, "host", path)
    table = convert_table(written, HostTable, str(path), "host") if written else HostTable()
    alerts = read_alerts(_table(document, "alerts", path), path)
    plugins = _plugins((path, document), (managed, managed_document))
    settings = Settings(
        # Absolute from here on: a plugin may change the working directory.
        config_path=_absolute(path),
        state_dir=_absolute(state or user_folder("state")),
        safe_mode=safe_mode,
        import_timeout_s=_seconds(table.import_timeout, path, "import_timeout"),
        start_timeout_s=_seconds(table.start_timeout, path, "start_timeout"),
        stop_timeout_s=_seconds(table.stop_timeout, path, "stop_timeout"),
        request_timeout_s=_seconds(table.request_timeout, path, "request_timeout"),
        blocked_after_s=_seconds(table.blocked_after, path, "blocked_after"),
        quarantine_after=table.quarantine_after,
        step_crash_limit=table.step_crash_limit,
        rest_after_s=_seconds(table.rest_after, path, "rest_after"),
        max_value_bytes=_bytes(table.max_value, path, "max_value", least_bytes=1 << 20),
        publication_capacity=table.publication_capacity,
        publication_age_s=_seconds(table.publication_age, path, "publication_age"),
        block=table.block,
        journal_lease_s=_seconds(table.journal_lease, path, "journal_lease"),
        files=_files(table.files, path),
        files_timeout_s=_seconds(table.files_timeout, path, "files_timeout"),
        secrets=table.secrets,
        worker_threads=table.worker_threads,
        worker_processes=table.worker_processes,
        worker_memory_bytes=_memory(table.worker_memory, path),
        expression_loop_cost=table.expression_loop_cost,
        expression_max_cost=table.expression_max_cost,
        expression_timeout_s=_seconds(table.expression_timeout, path, "expression_timeout"),
        expression_max_result_bytes=_bytes(
            table.expression_max_result, path, "expression_max_result"
        ),
        topics=MappingProxyType(_topics(path, document)),
        plugins=MappingProxyType(_with_destinations(plugins, alerts, path)),
        schedules=MappingProxyType(_schedules(path, document)),
        retention=read_retention(_table(document, "retention", path), path),
        logs=read_logs(_table(document, "logs", path), path),
        telemetry=read_telemetry(_table(document, "telemetry", path), path),
        alerts=MappingProxyType(alerts),
    )
    if bus is not None:
        settings = settings.with_bus(bus, "--bus")
    elif named_bus := environ.get(BUS_VARIABLE):
        settings = settings.with_bus(named_bus, BUS_VARIABLE)
    else:
        settings = settings.with_bus(table.bus)
    if journal is not None:
        return settings.with_journal(journal, "--journal")
    if named_journal := environ.get(JOURNAL_VARIABLE):
        return settings.with_journal(named_journal, JOURNAL_VARIABLE)
    return settings.with_journal(table.journal)


def plugin_config(name: str, config_type: type[T] | None, settings: Settings) -> T | None:
    """Return a plugin's configuration as its own type.

    Args:
        name: The plugin.
        config_type: Its ``Config``; None means that it takes none.
        settings: The settings of the host.

    Returns:
        An instance of the type; None when there is no type.

    Raises:
        ConfigError: A value does not fit, a key is unknown or missing, or a plugin without
            configuration is given one.
    """
    said = settings.plugin(name)
    path = f"plugins.{name}.config"
    if config_type is None:
        if said.config:
            raise ConfigError(
                f"{said.file}: {path}", f"the plugin '{name}' takes no configuration", "remove it"
            )
        return None
    return convert_table(said.config, config_type, str(said.file), path)


def _warn_of_writers(path: Path) -> None:
    found = [str(each) for each in changeable_by_others(path)]
    if found:
        more = f" ({len(found) - 1} more: qtforge-host doctor)" if len(found) > 1 else ""
        logger.warning("other users can change the configuration: chmod go-w %s%s", found[0], more)


def _absolute(path: Path) -> Path:
    try:
        return Path(os.path.abspath(path))
    except FileNotFoundError as error:
        raise ConfigError(
            str(path),
            "it is relative, and the working directory was deleted",
            "change to another folder, or give the whole path",
        ) from error


def _path_in(environ: Mapping[str, str], variable: str) -> Path | None:
    text = environ.get(variable, "")
    return Path(text).expanduser() if text else None


def _read(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return read_toml(path)
    except OSError as error:
        if required:
            raise ConfigError(
                str(path),
                f"it can't be opened: {error.strerror or error}",
                "check the name given with --config or QTFORGE_CONFIG",
            ) from error
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            logger.warning("the default configuration %s is not used: %s", path, error)
        return {}


def _table(parent: Mapping[str, Any], key: str, path: Path, prefix: str = "") -> dict[str, Any]:
    table = parent.get(key, {})
    if not isinstance(table, dict):
        where = f"{prefix}{key}"
        raise ConfigError(
            f"{path}: {where}",
            f"it must be a table, not {type(table).__name__}",
            f"write it as [{where}]",
        )
    return table


def _seconds(duration: Duration, path: Path, key: str) -> float:
    return seconds_at(f"{path}: host.{key}", duration)


def _files(url: str, path: Path) -> str:
    if url and not (re.fullmatch(_FILES, url, re.ASCII) and _is_readable(url)):
        raise ConfigError(
            f"{path}: host.files",
            "it is not the address of a folder or an object store",
            "such as file:///srv/shared, s3://BUCKET/FOLDER, gs://BUCKET or az://CONTAINER",
        )
    return url


def _is_readable(url: str) -> bool:
    """Return whether an address has no control characters, plain or percent-encoded."""
    try:
        path = urllib.parse.unquote(url, errors="strict")
    except UnicodeDecodeError:
        return False
    return url.isprintable() and path.isprintable() and (url.isascii() or url.startswith("file:"))


def _memory(size: int | str, path: Path) -> int:
    return _bytes(size, path, "worker_memory", least_bytes=_LEAST_MEMORY_BYTES)


def _bytes(size: int | str, path: Path, key: str, *, least_bytes: int = 1024) -> int:
    where, fix = f"{path}: host.{key}", "such as 512 MiB or 4 GiB"
    try:
        size_bytes = parse_size(size)
    except ValueError as error:
        raise ConfigError(where, str(error), fix) from error
    if not least_bytes <= size_bytes <= _MOST_MEMORY_BYTES:
        least, most = size_text(least_bytes), size_text(_MOST_MEMORY_BYTES)
        why = f"it must be between {least} and {most}, not {size_text(size_bytes)}"
        raise ConfigError(where, why, fix)
    return size_bytes


def _topics(path: Path, document: Mapping[str, Any]) -> dict[str, TopicPolicy]:
    tables = _table(document, "topics", path)
    found = {}
    for topic in tables:
        table = _table(tables, topic, path, "topics.")
        found[topic] = convert_table(table, TopicPolicy, str(path), f'topics."{topic}"')
    return found


def _schedules(path: Path, document: Mapping[str, Any]) -> dict[str, ScheduleSettings]:
    tables = _table(document, "schedules", path)
    for name in tables:
        if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
            what = f"{name[:_LONGEST_NAME]!a} can't be the name of a schedule"
            fix = f"give it 1 to {_LONGEST_NAME} characters, and no control characters"
            raise ConfigError(f"{path}: schedules", what, fix)
    return {
        name: convert_table(
            _table(tables, name, path, "schedules."),
            ScheduleSettings,
            str(path),
            f"schedules.{name}",
        )
        for name in tables
    }


def _plugins(*documents: tuple[Path, Mapping[str, Any]]) -> dict[str, PluginSettings]:
    """Merge the documents' ``[plugins]``, key by key; a later one overrides."""
    merged: dict[str, dict[str, Any]] = {}
    for path, document in documents:
        tables = _table(document, "plugins", path)
        for name in tables:
            raw = _table(tables, name, path, "plugins.")
            table = convert_table(raw, PluginTable, str(path), f"plugins.{name}")
            said = merged.setdefault(name, {"file": documents[0][0]})
            if table.enabled is not None:
                said["enabled"] = table.enabled
            if table.distribution is not None:
                said["distribution"] = table.distribution
            if table.config is not None:
                said.update(config=table.config, file=path)
    return {name: PluginSettings(**said) for name, said in merged.items()}


def _with_destinations(
    plugins: dict[str, PluginSettings], alerts: Mapping[str, Alert], path: Path
) -> dict[str, PluginSettings]:
    """Return the plugins, of which the one that delivers alerts has their destinations."""
    if not alerts:
        return plugins
    said = plugins.get(_ALERT_PLUGIN) or PluginSettings(file=path)
    destinations = {
        name: {"to": list(each.to), "secrets": list(each.secrets)} for name, each in alerts.items()
    }
    config = {**said.config, "alerts": destinations}
    return {**plugins, _ALERT_PLUGIN: msgspec.structs.replace(said, config=config)}
