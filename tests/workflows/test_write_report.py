"""WriteReport and the command that the report shows."""

import html
import re
import shlex
from pathlib import Path

from tests.helpers import TINY, Luigi, current_artifacts


def test_command_in_the_report_reproduces_it(city: Path, luigi: Luigi, tmp_path: Path) -> None:
    city = city.rename(tmp_path / "a city; with 'quotes'")
    (tmp_path / "artifacts").mkdir()
    given = ("--dataset-folder", str(city), *TINY, "--epochs-num", "0", "--report-queries", "3", "--years=-2015,2016")
    made = luigi("WriteReport", *given, config="[cosplace]\npositive_dist_threshold = 3\n")
    assert made.returncode == 0, made.stderr
    assert "WriteReport: done (" in made.stdout
    (page,) = current_artifacts(tmp_path)["report/queries_v1"].glob("report.html")
    (code,) = re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page.read_text(), re.DOTALL)
    *checkout, command = html.unescape(code).splitlines()
    assert all(line.startswith("git checkout ") for line in checkout), "there is none outside a repository"
    luigi_word, module_option, module, *words = shlex.split(command)
    assert (luigi_word, module_option, module) == ("luigi", "--module", "workflows")
    assert words[words.index("--positive-dist-threshold") + 1] == "3.0", "settings of a configuration file are included"
    again = luigi(*words)
    assert again.stdout.startswith("WriteReport: up to date ("), again.stdout + again.stderr
