"""Calls that mean harm or nothing: odd ``--set`` paths, variables of the environment, code beside a study."""

from __future__ import annotations

from support.hostile_images import ESCAPES

PATHS: dict[str, str] = {
    "place in a list": "design.factors.optimizer.lr[0]=1",
    "attribute": "trial.__dict__={}",
    "below a number": "seeds.x=1",
    "below a text": "study.x=1",
    "an include": "include=/etc/passwd",
    "extends": "extends=/dev/zero",
    "dot at the end": "trial.=1",
    "dot at the start": ".trial=1",
    "line end": "trial\n.epochs=1",
    "another alphabet": "trial.ep\u043echs=1",
    "a sign that is not seen": "trial.epochs\u200b=1",
    "an escape": f"{ESCAPES}=1",
    "a format": "{0.__class__}=%s%n",
    "quotes": "'trial.epochs'=1",
    "spaces": " trial . epochs = 1",
    "a path of a megabyte": "x" * 100_000 + "=1",
    "no trial": "trial=null",
    "a trial of a list": "trial=[]",
    "no design": "design=null",
    "no seeds": "seeds=null",
    "seeds of nothing": "seeds=[]",
    "seeds twice": "seeds=[0, 0]",
    "no metrics": "metrics=null",
    "a metric of a path": "metrics={primary: ../../RUN}",
    "a margin that is no number": "metrics={primary: test/ari, margins: {test/ari: .nan}}",
    "endless time": "execution={max_trial_s: .inf}",
    "no cores": "execution={cpus: 0}",
    "cores of no machine": "execution={cpus: 1000000000000}",
    "a storage with a password": "execution={storage: 's3://user:secret@place/x'}",
    "a storage of an escape": f'execution={{storage: "s3://{ESCAPES}/x"}}',
    "a storage nowhere": "execution={storage: 'ftp://x/y'}",
    "an expected arm that is none": "expect=[{arm: gone, verdict: helps}]",
    "an expectation of a number": "expect=3",
    "an expectation of nothing": "expect=[{arm: a, verdict: []}]",
    "expected twice": "expect=[{arm: a, verdict: [helps, helps]}]",
    "another verdict": 'expect=[{arm: "\\e[31m", verdict: maybe}]',
    "published without results": "published=[{source: x, results: []}]",
    "published as no number": "published=[{source: x, results: [{arm: a, metric: test/ari, value: .nan}]}]",
    "published without end": "published=[{source: x, results: [{arm: a, metric: test/ari, value: .inf}]}]",
    "published by nobody": "published=[{source: x, n: 0, results: [{arm: a, metric: test/ari, value: 1}]}]",
    "published by all": f"published=[{{source: x, n: {10**30}, results: [{{arm: a, metric: test/ari, value: 1}}]}}]",
    "spread below zero": "published=[{source: x, results: [{arm: a, metric: test/ari, value: 1, sd: -1}]}]",
    "a protocol of attributes": "published=[{source: x, protocol: {__class__: 1}, results: [{arm: a, metric: test/ari, "
    "value: 1}]}]",
    "published markup": "published=[{source: '<script>alert(1)</script>', results: [{levels: {optimizer.lr: 0.1}, "
    "metric: test/clustering_accuracy, value: 1.0e+300, sd: 1.0e+300}]}]",
    "question of markup": "question='</script><script>alert(1)</script>'",
    "question of escapes": 'question="\\e]0;title\\a"',
    "a name of dots": "study=...",
    "a name that is hidden": "study=.hidden",
    "a name of spaces": "study='  '",
    "a name of a device": "study=CON",
    "merge again and again": "trial={<<: {<<: {<<: {epochs: 1}}}}",
    "a merge of itself": "trial=&a {<<: *a}",
    "anchors of merges": "trial={data: &d {kind: hierarchy}, x: {<<: [*d, *d, *d]}}",
}
"""Options ``--set`` of the valid study, which are refused or mean something harmless."""

ENVIRONMENTS: dict[str, dict[str, str | None]] = {
    "store that is a device": {"MLFLOW_TRACKING_URI": "/dev/null"},
    "store that is nothing": {"MLFLOW_TRACKING_URI": "junk://x"},
    "store with a secret": {"MLFLOW_TRACKING_URI": "http://user:hunter2@127.0.0.1:9"},
    "store of escapes": {"MLFLOW_TRACKING_URI": ESCAPES},
    "store in a folder of the system": {"MLFLOW_TRACKING_URI": "sqlite:////proc/x/mlflow.db"},
    "no number for MLflow": {"MLFLOW_HTTP_REQUEST_TIMEOUT": "soon"},
    "address of nobody": {"RAY_ADDRESS": "127.0.0.1:9"},
    "address of escapes": {"RAY_ADDRESS": ESCAPES},
    "columns below zero": {"COLUMNS": "-5"},
    "no columns": {"COLUMNS": "0"},
    "one column": {"COLUMNS": "1"},
    "words for columns": {"COLUMNS": "wide", "LINES": "tall"},
    "a billion columns": {"COLUMNS": "1000000000"},
    "plain language": {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    "no language": {"LANG": None, "LC_ALL": "xx_YY.nothing"},
    "no terminal": {"TERM": "", "COLORTERM": ESCAPES},
    "a terminal that is none": {"TERM": "x" * 10_000},
    "no home": {"HOME": None, "XDG_CACHE_HOME": None},
    "a home that is a device": {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"},
    "no place for temporary files": {"TMPDIR": "/nonexistent", "TEMP": "/nonexistent", "TMP": "/nonexistent"},
    "a cache that is a device": {"FGTUNE_CACHE": "/dev/null"},
    "plugins of a path": {"FGTUNE_PLUGINS": "../evil"},
    "plugins of escapes": {"FGTUNE_PLUGINS": ESCAPES},
    "plugins of code": {"FGTUNE_PLUGINS": "__import__('os')"},
    "no path": {"PATH": ""},
    "threads of a word": {"OMP_NUM_THREADS": "many", "CUDA_VISIBLE_DEVICES": "x"},
}
"""Variables of the environment, None for one that is not set."""

MODULE = "from pathlib import Path\nPath('RUN').write_text('it ran')\n\ndef run(*arguments, **options):\n    pass\n"
"""Code that says that it was imported."""

_FUNCTION = """study: s
design: {kind: sensitivity, factors: {config.gain: [0.0, 0.2]}}
seeds: 2
metrics: {primary: score}
trial:
  kind: function
  call: "CALL"
  metrics: {score: {direction: maximize, range: [0, 1]}}
  config: {gain: 0.1}
  epochs: 2
"""
CALLS: dict[str, str] = {
    name: _FUNCTION.replace("CALL", call)
    for name, call in {
        "a function beside the study": "evil:run",
        "a module below": "evil.sub:run",
        "a function of the system": "os:system",
        "a path": "../evil:run",
        "a call": "evil:run()",
        "a file": "evil.py:run",
        "a lambda": "builtins:eval",
        "escapes": "\\e[31m:run",
    }.items()
}
"""Studies that name a function, which nobody permits."""
