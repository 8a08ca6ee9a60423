"""A double of the Kubernetes API, for the real client to talk to: pods are processes.

The image of a container is a folder, and paths within it are taken to lie there.
"""

import json
import os
import re
import subprocess
import time

from doubles.http_double import HttpDouble

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123
JOBS = re.compile("/apis/batch/v1/namespaces/(default)/jobs(?:/([^/]+))?(?:/status)?")
PODS = re.compile("/api/v1/namespaces/(default)/pods(?:/([^/]+)/log)?")


class KubernetesApi(HttpDouble):
    """`jobs` has what was asked for; `kubeconfig` and `variables` are what a user has."""

    def __init__(self, folder, images):
        super().__init__()
        self.folder, self.images, self.jobs, self.processes = folder, images, {}, {}
        self.waiting = {}  # why no pod starts, if it is so
        self.orphans = []  # jobs whose pods were left at work
        self.away = False
        config = {
            "users": [{"name": "me", "user": {}}],
            "clusters": [{"name": "test", "cluster": {"server": f"http://{self.address}"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "me"}}],
        }
        (folder / "kubeconfig").write_text(json.dumps(config))
        self.variables = {"KUBECONFIG": str(folder / "kubeconfig"), "NO_PROXY": "127.0.0.1"}

    def answer(self, handler, method, path, body):
        if self.away:
            return 503, {"message": "away"}
        if found := JOBS.fullmatch(path):
            if method == "POST":
                return self.create(json.loads(body))
            if found[2] not in self.jobs:
                return 404, {"message": "not found"}
            if method == "DELETE":
                return self.delete(found[2], json.loads(body or "{}"))
            return 200, self.jobs[found[2]] | {"status": self.status(found[2])}
        if found := PODS.fullmatch(path):
            if found[2]:
                return self.log(handler, found[2].removesuffix("-pod"))
            job = re.search("job-name%3D([^&]+)", handler.query)[1]
            return 200, {"items": [self.pod(job)] if job in self.processes else []}
        return None

    def create(self, job):
        name = job["metadata"]["name"]
        container = job["spec"]["template"]["spec"]["containers"][0]
        if not NAME.fullmatch(name) or not NAME.fullmatch(container["name"]):
            return 422, {"message": f"Job '{name}' is invalid"}
        self.jobs[name] = job
        self.processes[name] = None
        if not self.waiting:
            self.run(name, container)
        return 201, job

    def run(self, name, container):
        """Start the command, with the variables of the manifest and no others."""
        root = self.images[container["image"]]
        variables = {each["name"]: each["value"] for each in container["env"]}
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                container["command"],
                cwd=root / container["workingDir"].lstrip("/"),
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **variables},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def status(self, name):
        process = self.processes[name]
        status = {"startTime": "2020-01-01T00:00:00Z"}
        if process and process.poll() is not None:
            how = {"type": "Failed", "reason": "BackoffLimitExceeded", "message": "Backoff"}
            how = how if process.returncode else {"type": "Complete"}
            status["conditions"] = [how | {"status": "True"}]
        return status

    def pod(self, name):
        process = self.processes[name]
        if not process:
            phase, state = "Pending", {"waiting": self.waiting}
        elif process.poll() is None:
            phase, state = "Running", {"running": {}}
        else:
            # What the kernel ends is what has taken too much memory
            killed = process.returncode in (-9, 137)
            phase = "Failed" if process.returncode else "Succeeded"
            reason = "OOMKilled" if killed else "Error" if process.returncode else "Completed"
            state = {"terminated": {"exitCode": process.returncode, "reason": reason}}
        container = self.jobs[name]["spec"]["template"]["spec"]["containers"][0]
        of_container = {"name": container["name"], "image": "", "imageID": "", "ready": True}
        return {
            "metadata": {"name": f"{name}-pod"},
            "spec": {"containers": [container]},
            "status": {
                "phase": phase,
                "containerStatuses": [of_container | {"restartCount": 0, "state": state}],
            },
        }

    def delete(self, name, options):
        """As for batch/v1: pods stay at work unless told otherwise."""
        job = self.jobs.pop(name)
        process = self.processes.pop(name)
        if options.get("propagationPolicy") in ("Background", "Foreground"):
            if process:
                process.terminate()
        else:
            self.orphans.append(name)
        return 200, job

    def log(self, handler, name):
        """Send what the pod prints until it ends."""
        process = self.processes[name]
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        with (self.folder / f"{name}.log").open("rb") as file:
            ended = False
            while not ended:
                ended = process.poll() is not None
                if text := file.read():
                    handler.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
                time.sleep(0 if ended else 0.05)
        handler.wfile.write(b"0\r\n\r\n")
        return "sent"
