"""A corpus of malformed and malicious study files, options and settings; what they must end with is in the tests."""

from __future__ import annotations

from collections.abc import Iterator

STUDY = """study: s
question: q
design: {kind: sensitivity, factors: {optimizer.lr: [0.05, 0.1]}}
seeds: 1
metrics: {primary: test/clustering_accuracy}
trial:
  data: {kind: hierarchy, limit: 100, num_samples: 200}
  classes: {num_fine_ratio: 1.0}
  epochs: 1
"""
"""A valid study, which one line more makes invalid."""

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20)
)
MERGES = "b0: &b0 {x0: 1}\n" + "".join(
    f"b{n}: &b{n} {{<<: [{', '.join([f'*b{n - 1}'] * 9)}], x{n}: 1}}\n" for n in range(1, 20)
)
HUGE, LARGE = 10**15, 10**11


def texts() -> Iterator[tuple[str, bytes]]:
    """Whole files by name of what is wrong with them."""
    deep = 2000
    wrong = {
        "empty": "",
        "a list": "- 1\n",
        "a word": "study\n",
        "only a comment": "# nothing\n",
        "brackets": "a: " + "[" * deep,
        "closed brackets": "a: " + "[" * deep + "]" * deep,
        "braces": "a: " + "{a: " * deep + "1" + "}" * deep,
        "nested by indentation": "".join(" " * n + "a:\n" for n in range(500)),
        "nested dashes": "a:\n" + "- " * deep + "1\n",
        "nested keys": "? " * deep + "a\n",
        "alias bomb": BOMB,
        "merge bomb": MERGES,
        "anchor in itself": "a: &a [*a]\n",
        "mapping in itself": "a: &a {b: *a}\n",
        "unknown alias": "a: *b\n",
        "integer of 5000 digits": "seeds: " + "9" * 5000 + "\n",
        "negative integer of 5000 digits": "seeds: -" + "9" * 5000 + "\n",
        "hexadecimal of 5000 digits": "seeds: 0x" + "f" * 5000 + "\n",
        "octal of 5000 digits": "seeds: 0o" + "7" * 5000 + "\n",
        "integer of 5000 digits as a key": "9" * 5000 + ": 1\n",
        "fraction of 5000 digits": "seeds: 0." + "9" * 5000 + "\n",
        "exponent": "seeds: 1.0e+999999999\n",
        "impossible date": "study: 2026-13-45\n",
        "date": "study: 2026-01-01\n",
        "impossible time": "study: 2026-01-01T99:99:99Z\n",
        "year zero": "study: 0000-00-00\n",
        "tagged date": "study: !!timestamp x\n",
        "tagged int": "study: !!int x\n",
        "tagged float": "study: !!float x\n",
        "tagged bool": "study: !!bool x\n",
        "tagged null": "study: !!null x\n",
        "binary": "study: !!binary 'x'\n",
        "set": "study: !!set {a, b}\n",
        "ordered map": "study: !!omap [a: 1]\n",
        "pairs": "study: !!pairs [a: 1]\n",
        "python object": "study: !!python/object/apply:os.system ['touch RUN']\n",
        "python name": "study: !!python/name:os.system\n",
        "python module": "study: !!python/module:os\n",
        "python tuple": "study: !!python/tuple [1]\n",
        "ruby object": "study: !ruby/object:Gem::Installer {}\n",
        "unknown tag": "study: !x y\n",
        "tag directive": "%TAG ! tag:x.org,2000:\n---\nstudy: !y z\n",
        "version 9": "%YAML 9.9\n---\nstudy: s\n",
        "two documents": "study: s\n---\nstudy: t\n",
        "not a number": "study: .nan\n",
        "infinity": "study: -.inf\n",
        "beyond float32": "study: 1.0e+300\n",
        "key of a list": "? [a, b]\n: 1\n",
        "key of a mapping": "? {a: b}\n: 1\n",
        "key null": "null: 1\n",
        "key true": "true: 1\n",
        "key number": "1: 1\n",
        "key twice": "a: 1\na: 2\n",
        "tabs": "study:\n\tx: 1\n",
        "open quote": 'study: "x\n',
        "open bracket": "study: [1, 2\n",
        "colon in text": "study: a: b\n",
        "zero byte": "study: a\x00b\n",
        "escape": "study: \x1b[31mred\x1b[0m\n",
        "escape in quotes": 'study: "\\e[31mred\\e]0;title\\a"\n',
        "terminal title in a key": '"\\e]0;title\\a": 1\n',
        "turned around": 'study: "\\u202Egnp.exe"\n',
        "half a character": 'study: "\\ud800"\n',
        "message of a megabyte": "study: '" + "x" * 1_000_000 + "'\n",
        "key of a megabyte": "? " + "k" * 1_000_000 + "\n: 1\n",
        "5000 wrong keys": "".join(f"k{n}: 1\n" for n in range(5000)),
        "comment of a megabyte": "#" + "x" * 1_000_000,
        "path out": "study: ../../outside\n",
        "absolute name": "study: /tmp/outside\n",
        "name of a megabyte": f"study: {'a' * 200_000}\n",
        "name with a zero": 'study: "a\\0b"\n',
        "merge of a number": "study:\n  <<: 5\n",
        "merge of a list": "study:\n  <<: [1, 2]\n",
        "value sign": "study: =\n",
        "long expression": "design: {kind: search, metric: val/silhouette, trials: 2, space: {parameters: "
        "{optimizer.lr: {kind: uniform, low: 0.1, high: 1}}, constraints: ['"
        + "(" * 3000
        + "1"
        + ")" * 3000
        + "']}}\n",
    }
    for name, text in wrong.items():
        yield name, text.encode("utf-8", "surrogatepass")
    yield "not UTF-8", "study: é".encode("latin-1")
    yield "UTF-16", STUDY.encode("utf-16")
    yield "UTF-32", STUDY.encode("utf-32")
    yield "all bytes", bytes(range(256))
    yield "a zip file", b"PK\x03\x04" + bytes(200)
    yield "a pickle", b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94."
    yield "five megabytes", b"a: b\n" * 1_000_000


def floods() -> dict[str, str]:
    """Files of many small things, each below the limit of their size, by name."""
    return {
        "300,000 keys": "".join(f"k{n}: 1\n" for n in range(300_000)),
        "300,000 keys in braces": "a: {" + ", ".join(f"k{n}: 1" for n in range(300_000)) + "}\n",
        "a list of a million": "seeds: [" + "1," * 1_000_000 + "1]\n",
        "a million dashes": "seeds:\n" + "- 1\n" * 999_000,
        "a million empty lists": "seeds: [" + "[]," * 999_000 + "[]]\n",
        "200,000 anchors": "a: [" + ", ".join(f"&a{n} x" for n in range(200_000)) + "]\n",
        "a million aliases": "a: &a x\nb: [" + "*a," * 999_000 + "*a]\n",
        "150,000 merges": "a: &a {x: 1}\nb: {" + "<<: *a, " * 150_000 + "}\n",
        "100,000 documents": "---\na: 1\n" * 100_000,
        "100,000 directives": "%TAG !a! tag:x,1:\n" * 100_000 + "---\na: 1\n",
        "100,000 tags": "a: [" + ", ".join("!x 1" for _ in range(100_000)) + "]\n",
        "a key again and again": "study: s\n" * 200_000,
        "100,000 quotes": "study: " + "'" * 200_001 + "\n",
        "a million line ends": "study: 'x" + "\n" * 1_000_000 + "'\n",
        "a block of three megabytes": "study: |\n" + "  x\n" * 750_000,
        "a million escapes": 'study: "' + "\\x41" * 900_000 + '"\n',
    }


def values() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Options ``--set`` of the valid study, by name."""
    yield from (
        (name, (text,))
        for name, text in {
            "no equals sign": "trial.epochs",
            "no path": "=1",
            "dots": "...=1",
            "empty part": "trial..epochs=1",
            "path of 2000 parts": ".".join(["a"] * 2000) + "=1",
            "path of 40 parts": ".".join(["a"] * 40) + "=1",
            "brackets": "trial.epochs=" + "[" * 2000,
            "closed brackets": "trial.epochs=" + "[" * 2000 + "]" * 2000,
            "braces": "trial.epochs=" + "{a: " * 2000,
            "many digits": "trial.epochs=" + "9" * 5000,
            "date": "trial.epochs=2026-99-99",
            "object": "trial.epochs=!!python/object/apply:os.system ['touch RUN']",
            "alias": "trial.epochs=*a",
            "self": "trial.epochs=&a [*a]",
            "escape": "trial.epochs=\x1b[31m",
            "not a number": "trial.epochs=.nan",
            "plugin": "trial.data={kind: 'os:system'}",
            "plugin of a path": "trial.data={kind: '../../x:y'}",
            "plugin as backbone": "trial.model.backbone={kind: 'subprocess:Popen', options: {args: [touch, RUN]}}",
            "plugin as solver": "trial.relations.solver={kind: 'os:system'}",
            "plugin as term": "trial.objective.extra={x: {kind: 'os:system', weight: 1.0}}",
            "dunder": "trial.__class__=1",
            "space of a device": "design={kind: search, metric: val/silhouette, trials: 2, space: /dev/zero}",
            "space of a folder": "design={kind: search, metric: val/silhouette, trials: 2, space: /}",
            "space with a long name": "design={kind: search, metric: val/silhouette, trials: 2, space: "
            + "x" * 5000
            + "}",
            "space with a zero": 'design={kind: search, metric: val/silhouette, trials: 2, space: "a\\0b"}',
            "data of a device": "trial.data={kind: arrays, path: /dev/zero}",
            "data of a device by suffix": "trial.data={kind: arrays, path: /dev/zero.npz}",
            "data with a long path": "trial.data={kind: arrays, path: " + "x/" * 5000 + "a.npz}",
            "data with a zero": 'trial.data={kind: arrays, path: "a\\0b.npz"}',
            "weights of a device": "trial.model.weights={path: /dev/zero}",
            "weights with a long path": "trial.model.weights={path: " + "x" * 5000 + "}",
        }.items()
    )


def sizes() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Settings of the valid study that no machine can hold, by name."""
    patches = "trial.model.backbone={kind: small_cnn}"
    for size in (HUGE, 2**63, 10**30):
        yield f"seeds {size}", (f"seeds={size}",)
        yield f"adaptive seeds {size}", (f"seeds={{min: 3, max: {size}}}",)
        yield f"many first seeds {size}", (f"seeds={{min: {size - 1}, max: {size}}}",)
    yield "a million seeds", ("seeds=1000000",)
    yield "a seed beyond 64 bits", (f"seeds=[{2**63}]",)
    yield "a negative seed", ("seeds=[-1]",)
    yield (
        "5000 arms and 10000 seeds",
        (
            "seeds=10000",
            f"design={{kind: sensitivity, factors: {{trial.epochs: {list(range(1, 100))}}}}}".replace(
                "trial.epochs", "epochs"
            ),
        ),
    )
    for size in (HUGE, LARGE):
        yield f"samples {size}", (f"trial.data={{kind: hierarchy, num_samples: {size}}}",)
        yield f"dimensions {size}", (f"trial.data.dim={size}",)
        yield (
            f"coarse classes {size}",
            (f"trial.data={{kind: hierarchy, num_coarse: {size}, num_samples: {10 * size}}}",),
        )
        yield f"coarse classes without samples {size}", (f"trial.data.num_coarse={size}",)
        yield (
            f"fine classes of data {size}",
            (f"trial.data={{kind: hierarchy, fine_per_coarse: {size}, num_samples: {10 * size}}}",),
        )
        yield f"hidden {size}", (f"trial.model.backbone={{kind: mlp, hidden: [{size}]}}",)
        yield f"two hidden {size}", (f"trial.model.backbone={{kind: mlp, hidden: [{size}, {size}]}}",)
        yield f"linear {size}", (f"trial.model.backbone={{kind: linear, dim: {size}}}",)
        yield (
            f"channels {size}",
            (
                "trial.data={kind: patches}",
                f"trial.model.backbone={{kind: small_cnn, channels: [{size}]}}",
            ),
        )
        yield f"fine classes {size}", (f"trial.classes={{num_fine: {size}}}",)
        yield f"ratio {size}", (f"trial.classes={{num_fine_ratio: {size}.0}}",)
        yield f"neighbours {size}", (f"trial.neighbors={{stored: {size}}}",)
        yield f"queue {size}", (f"trial.objective={{preset: indi, instance: {{kind: queue, size: {size}}}}}",)
        yield (
            f"projection {size}",
            (f"trial.objective={{preset: indi, instance: {{kind: queue, projection_dim: {size}}}}}",),
        )
        yield f"prototypes {size}", (f"trial.objective={{preset: fierce, entropic: {{prototypes: {size}}}}}",)
        yield f"groups {size}", (f"trial.objective={{preset: fierce, entropic: {{groups: {size}}}}}",)
        yield f"canvas {size}", (f"trial.data={{kind: patches, canvas: {size}}}", patches)
        yield f"images {size}", (f"trial.data={{kind: patches, num_images: {size}}}", patches)
        yield f"big patches {size}", (f"trial.data={{kind: patches, num_big: {size}}}", patches)
        yield f"patch size {size}", (f"trial.data={{kind: patches, big_size: {size}}}", patches)
        yield (
            f"points {size}",
            (f"design={{kind: sensitivity, factors: {{optimizer.lr: [0.1, 0.2]}}, grid: sobol, points: {size}}}",),
        )
        yield (
            f"step of {1 / size}",
            (
                "design={kind: sensitivity, factors: {optimizer.lr: {kind: quantized, low: 0.0, high: 1.0e+9, step: "
                f"{1 / size}}}}}}}",
            ),
        )
    for name, parameter in {
        "hidden": f"model.backbone.hidden: {{kind: choice, values: [[8], [{LARGE * 10}]]}}",
        "classes": f"classes.num_fine: {{kind: int, low: 30, high: {HUGE}}}",
        "levels": f"neighbors.stored: {{kind: quantized, low: 10, high: {HUGE}, step: 10}}",
    }.items():
        searched = f"design={{kind: search, metric: val/silhouette, trials: 2, space: {{parameters: {{{parameter}}}}}}}"
        own = "trial.classes={num_fine: 30}"
        yield f"searched {name}", (searched, "trial.model.backbone={kind: mlp, hidden: [8]}", own)
        arms = f"[{{name: a, set: {{}}}}, {{name: b, set: {{}}, space: {{parameters: {{{parameter}}}}}}}]"
        inside = f"design={{kind: comparison, arms: {arms}, search: {{metric: val/silhouette, trials: 2}}}}"
        yield f"searched {name} in an arm", (inside, "trial.model.backbone={kind: mlp, hidden: [8]}", own)
    yield "learning rate beyond float32", ("trial.optimizer.lr=1.0e+100",)
    yield "a prior of the wrong length", ("trial.objective={prior: [1, 1]}",)
    yield "sizes of the wrong length", ("trial.relations={sizes: [1, 1]}",)
