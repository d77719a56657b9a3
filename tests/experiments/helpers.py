import json


def report_of(run):
    """The page of a run; checks the files that every run writes."""
    assert json.loads((run.folder / "config.json").read_text())["name"] == "test"
    html = (run.folder / "report.html").read_text()
    assert "CPU cores" in html
    return html
