"""What ``grus.accelerate`` does for models that others wrote: neuralforecast's GRU and darts' BlockRNNModel.

Each is trained on hourly bike rentals, in a process of its own, with and without ``grus.accelerate``, in turns and
with the same seed.  Both give the loss of every step; the losses must agree to float32 tolerance, or the program
exits with 1.  Reported, as JSON: the time of the training call, the time of the whole program (imports and data
included), and the ratios of the medians.

    python3 -m venv peers && peers/bin/pip install -r constraints-peers.txt && peers/bin/pip install .
    peers/bin/python benchmarks/accelerate_peers.py [--rounds 3] [--steps 60] [--threads 1] [--json FILE]
"""

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

SERIES = Path(__file__).parents[1] / "examples" / "bike_sharing" / "hourly.csv"
PEERS = ("neuralforecast", "darts")
ROWS, INPUT, HORIZON, HIDDEN, LAYERS, BATCH, SEED = 4000, 168, 24, 64, 2, 32, 1
TOLERANCE = 1e-3  # relative; a loss after many steps of training carries the rounding of all of them


def recorder(accelerated: bool, losses: list[float], swapped: list[str]) -> Any:
    """A Lightning callback that swaps the GRUs before the first step and keeps every loss.

    The lists are the caller's, since neuralforecast trains a copy of the model and of its callbacks.
    """
    import pytorch_lightning as pl

    class Recorder(pl.Callback):
        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            if accelerated:
                import grus

                swapped.extend(grus.accelerate(pl_module))

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *rest: Any) -> None:
            losses.append(float(outputs["loss"]))

    return Recorder()


def quiet(callback: Any) -> dict[str, Any]:
    return {
        "accelerator": "cpu",
        "callbacks": [callback],
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }


def train_neuralforecast(frame: Any, steps: int, callback: Any) -> float:
    from neuralforecast import NeuralForecast
    from neuralforecast.models import GRU

    model = GRU(
        h=HORIZON,
        input_size=INPUT,
        encoder_n_layers=LAYERS,
        encoder_hidden_size=HIDDEN,
        max_steps=steps,
        batch_size=BATCH,
        windows_batch_size=BATCH,
        random_seed=SEED,
        scaler_type="standard",
        **quiet(callback),
    )
    start = time.perf_counter()
    NeuralForecast(models=[model], freq="h").fit(frame.assign(unique_id="bikes"))
    return time.perf_counter() - start


def train_darts(frame: Any, steps: int, callback: Any) -> float:
    import numpy as np
    from darts import TimeSeries
    from darts.models import BlockRNNModel

    values = frame["y"].to_numpy(np.float32)
    series = TimeSeries.from_values((values - values.mean()) / values.std())
    model = BlockRNNModel(
        input_chunk_length=INPUT,
        output_chunk_length=HORIZON,
        model="GRU",
        hidden_dim=HIDDEN,
        n_rnn_layers=LAYERS,
        batch_size=BATCH,
        n_epochs=1,
        random_state=SEED,
        pl_trainer_kwargs={**quiet(callback), "limit_train_batches": steps},
    )
    start = time.perf_counter()
    model.fit(series, verbose=False)
    return time.perf_counter() - start


def work(peer: str, accelerated: bool, steps: int, threads: int) -> None:
    """Train once and print what was seen, as JSON."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import pandas as pd
    import torch

    torch.set_num_threads(threads)
    frame = pd.read_csv(SERIES, usecols=["ds", "y"], parse_dates=["ds"]).head(ROWS)
    frame["ds"] = pd.date_range(frame["ds"].iloc[0], periods=len(frame), freq="h")
    frame["y"] = frame["y"].astype("float32")
    losses: list[float] = []
    swapped: list[str] = []
    train = train_neuralforecast if peer == "neuralforecast" else train_darts
    seconds = train(frame, steps, recorder(accelerated, losses, swapped))
    print("RESULT " + json.dumps({"fit_s": seconds, "losses": losses, "swapped": swapped}))


def run_worker(peer: str, accelerated: bool, steps: int, threads: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--steps", str(steps), "--threads", str(threads), "--worker", peer]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    done = subprocess.run(
        [*command, *(["--accelerated"] if accelerated else [])],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"error: {peer} failed\n{done.stderr[-2000:]}")
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return {"program_s": seconds, **json.loads(line.removeprefix("RESULT "))}


def compare(peer: str, rounds: int, steps: int, threads: int) -> dict[str, Any]:
    """Train in turns and compare losses and times."""
    plain, ours = [], []
    for _ in range(rounds):
        plain.append(run_worker(peer, False, steps, threads))
        ours.append(run_worker(peer, True, steps, threads))
    a, b = plain[0]["losses"], ours[0]["losses"]
    worst = max(abs(x - y) / max(abs(x), 1e-9) for x, y in zip(a, b, strict=True))
    times = {
        f"{key}_{kind}": median(run[key] for run in runs)
        for key in ("fit_s", "program_s")
        for kind, runs in (("torch", plain), ("accelerated", ours))
    }
    return {
        "swapped": ours[0]["swapped"],
        "steps": len(a),
        "first_loss": a[0],
        "last_loss_torch": a[-1],
        "last_loss_accelerated": b[-1],
        "largest_relative_difference_of_losses": worst,
        "same_losses": worst <= TOLERANCE,
        **times,
        "fit_ratio": times["fit_s_torch"] / times["fit_s_accelerated"],
        "program_ratio": times["program_s_torch"] / times["program_s_accelerated"],
        "spread_fit_torch": [min(r["fit_s"] for r in plain), max(r["fit_s"] for r in plain)],
        "spread_fit_accelerated": [min(r["fit_s"] for r in ours), max(r["fit_s"] for r in ours)],
    }


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"python": platform.python_version(), **{n: version(n) for n in ("torch", "grus", *PEERS)}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--accelerated", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.worker, options.accelerated, options.steps, options.threads)
    job = {
        "rows": ROWS,
        "input": INPUT,
        "horizon": HORIZON,
        "hidden": HIDDEN,
        "layers": LAYERS,
        "batch": BATCH,
    }
    results: dict[str, Any] = {"versions": versions(), "threads": options.threads, "job": job}
    for peer in PEERS:
        results[peer] = compare(peer, options.rounds, options.steps, options.threads)
    text = json.dumps(results, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    if not all(results[peer]["same_losses"] for peer in PEERS):
        sys.exit(1)
    return None


if __name__ == "__main__":
    main()
