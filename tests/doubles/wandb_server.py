"""A double of the Weights & Biases service, for the real client to talk to.

It answers GraphQL field by field, whatever the text of a query, and keeps a list of all that it was
asked and does not know.
"""

import base64
import json
import shutil
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

from graphql import parse
from graphql.language import ast
from graphql.utilities import value_from_ast_untyped

ENTITY = "team"
# Keys of `upsertBucket`'s input, and what they are called here
RUN = {"groupName": "group", "jobType": "job_type", "displayName": "name", "notes": "notes"}


class WandbServer:
    """`variables` are what a user sets to reach it; `runs` and `versions` what it was told."""

    def __init__(self, folder):
        self.key = uuid4().hex + "01234567"
        self.runs, self.versions, self.files, self.unknown = {}, {}, {}, []
        self.lock = threading.RLock()
        handler = type("Bound", (Handler,), {"service": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.variables = {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": self.key,
            # Without what a test before this has left; where nothing is, all has to be asked for
            "WANDB_CACHE_DIR": str(folder / "cache"),
            "WANDB_DATA_DIR": str(folder / "data"),
            "NO_PROXY": "127.0.0.1",
        }

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    def tamper(self, artifact, content):
        """Write over the only file of an artifact; None deletes the version."""
        shutil.rmtree(self.variables["WANDB_CACHE_DIR"])  # as on a machine that has none of it
        name, _, version = artifact.uri.rpartition("/")[0].rpartition("/")[-1].partition(":")
        found = self.named(name, version)
        if content is None:
            found["state"] = "DELETED"
        else:
            self.files[f"/artifact/{found['id']}/{artifact.name}"] = content

    def answer(self, query, variables):
        """The data of a GraphQL document."""
        parts = parse(query).definitions
        fragments = {
            part.name.value: part for part in parts if isinstance(part, ast.FragmentDefinitionNode)
        }
        (operation,) = [part for part in parts if isinstance(part, ast.OperationDefinitionNode)]
        fields = {name[3:]: getattr(self, name) for name in dir(self) if name.startswith("on_")}
        with self.lock:
            return self.select(operation, fields, fragments, variables, "")

    def select(self, node, value, fragments, variables, path):
        """What a node of a document asks of a value."""
        if isinstance(value, list):
            return [self.select(node, each, fragments, variables, path) for each in value]
        if value is None or not node.selection_set:
            return value
        result = {}
        for inner in node.selection_set.selections:
            if isinstance(inner, ast.FragmentSpreadNode):
                inner = fragments[inner.name.value]
            if not isinstance(inner, ast.FieldNode):
                result |= self.select(inner, value, fragments, variables, path)
                continue
            name = inner.name.value
            if name not in value:
                self.unknown.append(f"{path}.{name}")
                continue
            found = value[name]
            if callable(found):
                given = {
                    each.name.value: value_from_ast_untyped(each.value, variables)
                    for each in inner.arguments
                }
                found = found(**given)
            key = inner.alias.value if inner.alias else name
            result[key] = self.select(inner, found, fragments, variables, f"{path}.{name}")
        return result

    def on_viewer(self):
        keys = {"id": "user", "username": "user", "name": "user", "entity": ENTITY, "email": ""}
        none = {"apiKeys": {"edges": []}, "teams": {"edges": []}, "deletedAt": None}
        return {**keys, **none, "flags": "{}", "admin": False}

    def on_serverInfo(self):
        return {"features": []}

    def on_entity(self, name):
        return {"organization": None}

    def on_project(self, name, entityName):
        return {
            "id": name,
            "internalId": name,
            "name": name,
            "entity": {"id": ENTITY, "name": ENTITY},
            "bucket": lambda name, missingOk: self.bucket(name) if name in self.runs else None,
            "artifact": lambda name, enableTracking=False: self.shown(self.named(*name.split(":"))),
            "artifactCollectionMembership": lambda name: self.membership(*name.split(":")),
            "artifactCollection": lambda name: {
                "__typename": "ArtifactSequence",
                "artifactMembership": lambda aliasName: self.membership(name, aliasName),
            },
        }

    on_model = on_project

    def bucket(self, run_id):
        run = self.runs[run_id]
        none = dict.fromkeys(["description", "sweepName"])
        return {
            **none,
            "id": run_id,
            "name": run_id,
            "displayName": run["name"],
            "notes": run["notes"],
            "tags": [],
            "config": json.dumps(run["config"]),
            # A run is resumed only if it has these
            "wandbConfig": lambda keys: json.dumps(run["config"].get("_wandb", {}).get("value")),
            "summaryMetrics": json.dumps(run["summary"]),
            "historyTail": json.dumps([json.dumps(row) for row in run["history"][-1:]]),
            "historyLineCount": len(run["history"]),
            "eventsTail": "[]",
            "eventsLineCount": 0,
            "logLineCount": len(run["log"]),
            "project": self.on_project(run["project"], ENTITY),
        }

    def on_upsertBucket(self, input):
        run_id = input["name"] or input["id"]
        inserted = run_id not in self.runs
        run = self.runs.setdefault(run_id, {"name": run_id, "notes": "", "state": "running"})
        for key, empty in {"history": [], "log": [], "used": [], "summary": {}}.items():
            run.setdefault(key, empty)
        if inserted:
            run["project"] = input["modelName"]
        run |= {RUN[key]: value for key, value in input.items() if key in RUN and value}
        run["config"] = json.loads(input["config"] or "{}")
        return {"bucket": self.bucket(run_id), "inserted": inserted}

    def on_createRunFiles(self, input):
        base = f"{self.url}/run/{input['runName']}"
        files = [{"name": name, "uploadUrl": f"{base}/{name}"} for name in input["files"]]
        return {"runID": input["runName"], "uploadHeaders": [], "files": files}

    def stream(self, run_id, told):
        """What a run sends in the course of its time: metrics, and how it ended."""
        run = self.runs[run_id]
        lines = {name: chunk["content"] for name, chunk in told.get("files", {}).items()}
        run["history"] += map(json.loads, lines.get("wandb-history.jsonl", []))
        run["log"] += lines.get("output.log", [])
        for line in lines.get("wandb-summary.json", []):
            run["summary"] |= json.loads(line)
        if told.get("complete"):
            run["state"] = "failed" if told["exitcode"] else "finished"

    def committed(self, name):
        """The versions of an artifact, in their order."""
        found = [each for each in self.versions.values() if each["collection"] == name]
        found = [each for each in found if each["number"] is not None]
        return sorted(found, key=lambda each: each["number"])

    def named(self, name, version):
        """What `artifact:version` or `artifact:alias` names."""
        for each in self.committed(name):
            if each["state"] == "COMMITTED" and version in [f"v{each['number']}", *each["aliases"]]:
                return each
        return None

    def shown(self, version):
        if not version:
            return None
        name, committed = version["collection"], self.committed(version["collection"])
        collection = {
            "__typename": "ArtifactSequence",
            "name": name,
            "project": self.on_project(version["project"], ENTITY),
            "latestArtifact": {"id": committed[-1]["id"]} if committed else None,
        }
        aliases = [
            {
                "__typename": "ArtifactAlias",
                "id": each,
                "alias": each,
                "artifactCollection": collection,
            }
            for each in version["aliases"]
        ]
        contents = self.manifest(version["id"])
        none = dict.fromkeys(["commitHash", "updatedAt", "historyStep"])
        return {
            **none,
            **version,
            "__typename": "Artifact",
            "artifactSequence": collection,
            "artifactType": {"name": version["type"]},
            "aliases": aliases,
            "versionIndex": version["number"],
            "tags": [],
            "ttlIsInherited": True,
            "ttlDurationSeconds": -2,
            "createdAt": "2026-01-01T00:00:00Z",
            "size": sum(each["size"] for each in contents.values()),
            "fileCount": len(contents),
            "files": lambda after, first: self.list_files(version["id"]),
            "currentManifest": {"file": {"directUrl": f"{self.url}/manifest/{version['id']}"}},
        }

    def membership(self, name, version):
        found = self.shown(self.named(name, version))
        return found and {
            "__typename": "ArtifactCollectionMembership",
            "id": found["id"],
            "versionIndex": found["versionIndex"],
            "createdAt": found["createdAt"],
            "aliases": found["aliases"],
            "artifactCollection": found["artifactSequence"],
            "artifact": found,
            "files": found["files"],
        }

    def list_files(self, artifact_id):
        base = f"{self.url}/artifact/{artifact_id}"
        names = self.manifest(artifact_id)
        files = [{"__typename": "File", "name": n, "directUrl": f"{base}/{n}"} for n in names]
        return {
            "pageInfo": {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False},
            "edges": [{"node": file} for file in files],
        }

    def manifest(self, artifact_id):
        return json.loads(self.files.get(f"/manifest/{artifact_id}", "{}")).get("contents", {})

    def on_createArtifact(self, input):
        name = input["artifactCollectionName"]
        for version in self.committed(name):
            if version["digest"] == input["digest"] and version["state"] == "COMMITTED":
                self.give_aliases(version, input["aliases"])
                return {"artifact": self.shown(version)}
        version = {
            "id": f"artifact-{len(self.versions)}",
            "collection": name,
            "number": None,
            "state": "PENDING",
            "type": input["artifactTypeName"],
            "aliases": [],
            "wanted": input["aliases"],
            "run": input["runName"],
            "project": input["projectName"],
            **{key: input[key] for key in ["digest", "metadata", "description"]},
        }
        self.versions[version["id"]] = version
        return {"artifact": self.shown(version)}

    def give_aliases(self, version, aliases):
        names = [each["alias"] for each in aliases]
        for other in self.committed(version["collection"]):
            other["aliases"] = [each for each in other["aliases"] if each not in names]
        version["aliases"] += names

    def on_createArtifactManifest(self, input):
        url = f"{self.url}/manifest/{input['artifactID']}"
        file = {"id": url, "uploadUrl": url, "uploadHeaders": []}
        return {"artifactManifest": {"id": input["artifactID"], "file": file}}

    def on_createArtifactFiles(self, input):
        files = [
            {
                "storagePath": None,
                "uploadUrl": f"{self.url}/artifact/{file['artifactID']}/{file['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": file["artifactID"]},
            }
            for file in input["artifactFiles"]
        ]
        return {"files": {"edges": [{"node": file} for file in files]}}

    def on_commitArtifact(self, input):
        version = self.versions[input["artifactID"]]
        number = len(self.committed(version["collection"]))
        version |= {"state": "COMMITTED", "number": number}
        self.give_aliases(version, version["wanted"])
        return {"artifact": self.shown(version)}

    def on_artifact(self, id):
        return self.shown(self.versions.get(id))

    def on_useArtifact(self, input):
        self.runs[input["runName"]]["used"].append(input["artifactID"])
        return {"artifact": self.on_artifact(input["artifactID"])}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self):
        with suppress(ConnectionError):  # how a client that ends leaves its connections
            super().handle()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        user = base64.b64decode(self.headers.get("Authorization", "")[6:]).decode()
        if self.path == "/graphql" and user != f"api:{self.service.key}":
            self.reply({"errors": [{"message": "user is not logged in"}]}, 401)
        elif self.path == "/graphql":
            asked = json.loads(body)
            try:
                data = self.service.answer(asked["query"], asked.get("variables") or {})
                self.reply({"data": data})
            except Exception as error:  # an argument, say, that no field here has
                self.service.unknown.append(f"{asked['query']}: {error!r}")
                self.reply({"errors": [{"message": repr(error)}]}, 400)
        elif self.path.endswith("/file_stream"):
            with self.service.lock:
                self.service.stream(self.path.split("/")[-2], json.loads(body))
            self.reply({})
        elif self.path.startswith("/sdk/otel/"):  # statistics of use
            self.reply({})
        else:
            self.service.unknown.append(f"POST {self.path}")
            self.reply({}, 404)

    def do_PUT(self):
        self.service.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply({})

    def do_GET(self):
        if self.path not in self.service.files:
            self.service.unknown.append(f"GET {self.path}")
            self.reply({}, 404)
            return
        self.reply(self.service.files[self.path])

    def reply(self, value, status=200):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass
