"""The dashboard and the alerts of ``examples/observability``, against a host that serves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.serving import Serving

FOLDER = Path(__file__).parents[3] / "examples" / "observability"


def used() -> set[str]:
    """Return the names of the metrics that the files ask for."""
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    asked += [rule["expr"] for group in groups for rule in group["rules"]]
    return {name for text in asked for name in re.findall(r"\bqtforge_\w+", text)}


def test_every_metric_that_is_asked_for_is_one_of_the_host(serving: Serving) -> None:
    serving.config.write_text("[telemetry]\nenabled = true\n")
    serving._environment["OTEL_TRACES_EXPORTER"] = "none"
    told = serving.serve().get("/metrics").text
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", told, re.M))
    known = set(types)
    for name, kind in types.items():
        if kind == "summary":
            known |= {f"{name}_sum", f"{name}_count"}
    assert used() <= known
    assert len(used()) > 10


def test_each_panel_and_alert_has_a_name_and_a_query() -> None:
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["targets"] for panel in panels)
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    assert all(rule["annotations"]["summary"] for rule in group["rules"])
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert scraped["rule_files"] == ["alerts.yml"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", str(FOLDER / "alerts.yml")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
