"""Color photographs in a browser, on a page of this machine: `colornet demo`.

Drop a photograph or pick an example: the page shows it in gray and as each model colors it, with a slider for the
saturation, and makes PNGs of full size to download. Nothing leaves the machine, and uploads are deleted after an hour,
at the latest when the server ends (Ctrl-C) or, if it was killed, when another one starts.

It is an extra: `pip install ".[demo]"` in a checkout.

Anyone who can reach the address may use the page, without a password: the default is open to this machine only.
"""

from __future__ import annotations

import errno
import importlib.util
import math
import os
import signal
import socket
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colornet.colorize import check_model
from colornet.command import run_command
from colornet.config import require_option
from colornet.errors import InputError, printable
from colornet.hub import is_hub_name
from colornet.inference.demo_folder import own_folder
from colornet.runs.pretrained import RELEASED


@dataclass(frozen=True)
class DemoConfig:
    """Which models are shown, and at which address."""

    models: tuple[str, ...] = RELEASED  # released models (cgan, ae), folders of runs, or hf:OWNER/NAME
    host: str = "127.0.0.1"  # address to listen at; 0.0.0.0 admits the whole network
    port: int = 7860  # port to listen at
    names: tuple[str, ...] = ()  # further names of this machine in browsers, such as a proxy's; others are refused
    open: bool = True  # open the page in the browser
    max_megapixels: float = 40.0  # of a photograph; memory and time grow with it
    max_megabytes: int = 30  # of an upload
    cpu: bool = False  # work on the CPU even where there is a GPU


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and serve until Ctrl-C; mistakes of the user end in one sentence and exit code 2."""
    run_command(DemoConfig, serve, arguments, prog="colornet demo", description=__doc__)


def check(config: DemoConfig) -> dict[str, Path]:
    """Raise InputError for options that cannot be used, without importing torch; return the models by name."""
    require_option(0 < config.max_megapixels < math.inf, config, "max_megapixels", "a number above 0")
    require_option(config.max_megabytes >= 1, config, "max_megabytes", "at least 1")
    if not config.models:
        raise InputError("No model is named: give released ones or run folders to --models.")
    folders = {model: check_model(model) for model in config.models}
    if importlib.util.find_spec("gradio") is None:
        raise InputError('The page needs gradio: run `pip install ".[demo]"` in the checkout.')
    require_option(1 <= config.port <= 65535, config, "port", "from 1 to 65535")
    _check_address(config.host, config.port)
    # A folder in the cache of the Hub is called like a commit.
    names = [model if is_hub_name(model) else folder.resolve().name for model, folder in folders.items()]
    keys = (name if names.count(name) == 1 else model for name, model in zip(names, folders, strict=True))
    return dict(zip(keys, folders.values(), strict=True))


def _check_address(host: str, port: int) -> None:
    """Raise InputError unless a server can listen there and at the loopback's port, which gradio always needs."""
    for name in dict.fromkeys((host, "127.0.0.1")):
        try:
            for family, kind, protocol, _, address in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM):
                with socket.socket(family, kind, protocol) as probe:
                    if os.name != "nt":  # on Windows it would take the port away from its owner
                        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise InputError(f"Port {port} of {name} is in use: choose another with --port.") from error
            place = f"--host {name} with --port {port}"
            raise InputError(f"{place} cannot be listened at ({error.strerror}): choose others.") from error


def serve(config: DemoConfig) -> None:
    """Check the options, and serve the page until a signal ends it; then delete all uploads."""
    models = check(config)
    for name in ("SIGTERM", "SIGHUP"):  # end as by Ctrl-C, unless they are ignored, as by nohup
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    with own_folder() as folder:
        # gradio reads these when it is imported. It connects only to its own page, which a proxy would hide.
        os.environ |= {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False", "no_proxy": "*"}
        from colornet.inference.colorizer import Colorizer
        from colornet.inference.demo_page import Studio, launch

        colorizers = {name: Colorizer.load(model, "cpu" if config.cpu else None) for name, model in models.items()}
        max_pixels, released = round(config.max_megapixels * 10**6), set(config.models) <= set(RELEASED)
        studio = Studio(colorizers, folder, max_pixels, config.max_megabytes, released)
        page = launch(studio, host=config.host, port=config.port, names=config.names)
        print(printable(f"The page is at {page.local_url} until Ctrl-C."), flush=True)
        try:
            if config.open:
                webbrowser.open(page.local_url)
            threading.Event().wait()
        finally:
            page.close(verbose=False)


if __name__ == "__main__":
    main()
