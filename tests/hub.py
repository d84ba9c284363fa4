"""A Hub on this machine that speaks the endpoints of downloads, data sets and uploads."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from huggingface_hub import constants

from tests.server import Server, reply, serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_token"


@dataclass
class Hub:
    """Its repositories, as models/OWNER/NAME or datasets/OWNER/NAME: the content of each file by its name."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    gated: set[str] = field(default_factory=set)
    objects: dict[str, bytes] = field(default_factory=dict)  # uploaded by LFS, by sha256
    commits: list[dict[str, Any]] = field(default_factory=list)
    server: Server = field(default_factory=lambda: Server(""))

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(request.path.partition("?")[0])
        if "chunked" in request.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(request.rfile.readline(), 16):
                body += request.rfile.read(size)
                request.rfile.readline()
            request.rfile.readline()
        else:
            body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if match := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            kind, repo, revision, file = match.groups()
            if files := self._files(request, f"{kind or 'models'}/{repo}", revision):
                self._send(request, files, file)
        elif match := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path):
            kind, repo, what, revision = match.groups()
            if files := self._files(request, f"{kind}/{repo}", revision):
                listed = [{"type": "file", "path": f, "size": len(c), "oid": _oid(c)} for f, c in files.items()]
                siblings = [{"rfilename": file} for file in files]
                info = {"id": repo, "sha": COMMIT, "siblings": siblings}
                _json(request, listed if what == "tree" else info)
        elif path == "/api/validate-yaml":
            _json(request, {"errors": [], "warnings": []})
        elif request.headers.get("Authorization") != f"Bearer {TOKEN}" and not path.startswith("/lfs/"):
            _error(request, 401, "", "Invalid username or password.")
        else:
            self._write(request, path, body)

    def _files(self, request: BaseHTTPRequestHandler, repo: str, revision: str) -> dict[str, bytes] | None:
        known = request.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repo not in self.repos or (repo in self.private and not known):
            _error(request, 401, "RepoNotFound", "Repository not found")
        elif repo in self.gated:
            _error(request, 403, "GatedRepo", "Access to this repository is restricted")
        elif revision not in ("main", "v1", COMMIT):
            _error(request, 404, "RevisionNotFound", "Invalid rev id")
        else:
            return self.repos[repo]
        return None

    def _send(self, request: BaseHTTPRequestHandler, files: dict[str, bytes], file: str) -> None:
        if file not in files:
            _error(request, 404, "EntryNotFound", "Entry not found")
            return
        reply(request, files[file], ETag=f'"{_oid(files[file])}"', X_Repo_Commit=COMMIT)

    def _write(self, request: BaseHTTPRequestHandler, path: str, body: bytes) -> None:
        if path == "/api/repos/create":
            about = json.loads(body)
            repo = f"{about.get('organization') or 'user'}/{about['name']}"
            if repo.startswith("other/"):
                _error(request, 403, "", "You don't have the rights to create a model under this namespace")
                return
            self.repos.setdefault(f"models/{repo}", {})
            if about.get("private") or about.get("visibility") == "private":
                self.private.add(f"models/{repo}")
            _json(request, {"url": f"{self.server.address}/{repo}", "name": repo, "id": COMMIT})
        elif path.endswith("/preupload/main"):
            modes = {".safetensors": "lfs"}
            files = [file["path"] for file in json.loads(body)["files"]]
            answers = [
                {"path": f, "uploadMode": modes.get(Path(f).suffix, "regular"), "shouldIgnore": False} for f in files
            ]
            _json(request, {"files": answers})
        elif path.endswith("/info/lfs/objects/batch"):
            wanted = json.loads(body)["objects"]
            upload = {
                o["oid"]: {"upload": {"href": f"{self.server.address}/lfs/{o['oid']}", "header": {}}} for o in wanted
            }
            _json(request, {"transfer": "basic", "objects": [{**o, "actions": upload[o["oid"]]} for o in wanted]})
        elif path.startswith("/lfs/"):
            self.objects[path.rpartition("/")[2]] = body
            reply(request)
        elif match := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            header, *lines = [json.loads(line) for line in body.splitlines()]
            self.commits.append(header["value"])
            for line in lines:
                value = line["value"]
                lfs = line["key"] == "lfsFile"
                content = self.objects[value["oid"]] if lfs else base64.b64decode(value["content"])
                self.repos[f"models/{match[1]}"][value["path"]] = content
            url = f"{self.server.address}/{match[1]}/commit/{COMMIT}"
            _json(request, {"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})
        else:
            reply(request, status=500)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def _json(request: BaseHTTPRequestHandler, value: Any) -> None:
    reply(request, json.dumps(value).encode(), Content_Type="application/json")


def _error(request: BaseHTTPRequestHandler, status: int, code: str, message: str) -> None:
    reply(request, status=status, X_Error_Code=code, X_Error_Message=message)


@contextmanager
def serving_hub(cache: Path, patch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Let huggingface_hub talk to an empty Hub, with an empty cache and no token, until `patch` is undone."""
    hub = Hub()
    with serving(hub) as hub.server:
        patch.setattr(constants, "ENDPOINT", hub.server.address)
        template = "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.server.address + template)
        patch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
        patch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
        patch.setattr(constants, "HF_STORED_TOKENS_PATH", str(cache / "tokens"))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            patch.delenv(name, raising=False)
        yield hub
