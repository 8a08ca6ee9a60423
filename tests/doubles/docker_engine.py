"""A double of the Docker engine and of a registry, for the real `docker` to talk to.

It runs no line of a Dockerfile: an image is the folder that was sent, where its last COPY puts it.
"""

import hashlib
import io
import re
import tarfile
from pathlib import Path
from urllib.parse import parse_qs, unquote

from doubles.http_double import HttpDouble


class DockerEngine(HttpDouble):
    """`built` has what each tag was built with; `pushed` the folder of each image by reference."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder, self.built, self.pushed = folder, {}, {}
        self.denied = False  # whether the registry lets nobody in
        self.variables = {"DOCKER_HOST": f"tcp://{self.address}", "DOCKER_BUILDKIT": "0"}

    def answer(self, handler, method, path, body):
        path = re.sub(r"^/v1\.\d+", "", unquote(path))
        if path == "/_ping":
            handler.send(200, {}, Api_Version="1.47", Ostype="linux")
            return "sent"
        if path == "/version":
            return 200, {"ApiVersion": "1.47", "Os": "linux", "Version": "27.0.0"}
        if (method, path) == ("POST", "/build"):
            return self.build(parse_qs(handler.query), body)
        if found := re.fullmatch("/images/(.*)/push", path):
            return self.push(f"{found[1]}:{parse_qs(handler.query)['tag'][0]}")
        if found := re.fullmatch("/images/(.*)/json", path):
            image = self.built[found[1]]
            return 200, {"Id": image["id"], "RepoDigests": image["digests"]}
        return None

    def build(self, query, body):
        image = f"sha256:{hashlib.sha256(body).hexdigest()}"
        place = self.folder / image[7:]
        # `docker` ends the archive short, which Go does not mind
        with tarfile.open(fileobj=io.BytesIO(body + bytes(1024))) as context:
            context.extractall(place / "context", filter="data")
        dockerfile = (place / "context" / query["dockerfile"][0]).read_text()
        (target,) = re.findall(r"^COPY \. /(.*)$", dockerfile, re.MULTILINE)
        (place / "root" / target).parent.mkdir(parents=True, exist_ok=True)
        (place / "context").rename(place / "root" / target)
        self.built[query["t"][0]] = {"id": image, "digests": [], "place": place / "root"} | query
        return 200, {"stream": "Step 1/1\n"}, {"aux": {"ID": image}}

    def push(self, tag):
        if self.denied:
            error = "denied: requested access to the resource is denied"
            return 200, {"error": error, "errorDetail": {"message": error}}
        digest = hashlib.sha256(self.built[tag]["id"].encode()).hexdigest()
        reference = f"{tag.rpartition(':')[0]}@sha256:{digest}"
        # As an engine has it that has pushed the same elsewhere
        self.built[tag]["digests"] = [f"elsewhere/cars@sha256:{digest}", reference]
        self.pushed[reference] = self.built[tag]["place"]
        return 200, {"status": "Pushed"}
