"""The job of a component: its start, its end, and all that its pods print."""

import os
import time
from typing import Any

from kubernetes.client import ApiException, BatchV1Api, CoreV1Api, V1DeleteOptions, V1Job, V1Pod
from kubernetes.config import ConfigException, load_kube_config
from mlflow.exceptions import ExecutionException
from urllib3.exceptions import HTTPError

INTERVAL = 1  # seconds
PATIENCE = 60  # seconds that the cluster may not answer


class JobRun:
    """A job at work: `output` is what its pods print and why they fail."""

    def __init__(self, run_id: str, manifest: dict[str, Any], context: str):
        """Start the job on the cluster of this context of kubectl."""
        self.run_id = run_id
        job = manifest["metadata"]
        self._name, self._namespace = job["name"], job["namespace"]
        try:
            load_kube_config(context=context)
            self._batch, self._core = BatchV1Api(), CoreV1Api()
            self._batch.create_namespaced_job(self._namespace, manifest)
        except (ApiException, ConfigException, HTTPError) as error:
            raise ExecutionException(f"Kubernetes refuses the job: {error}") from error
        source, sink = os.pipe()
        self.output, self._sink = os.fdopen(source, "rb"), os.fdopen(sink, "wb", buffering=0)
        self._shown: set[str] = set()  # lines, and pods whose log was passed on
        self._exited_well = False  # the command, as a node says

    def wait(self) -> bool:
        """Pass on what the pods print until the job has ended; tell whether it has ended well."""
        state, last_answer = "", time.monotonic()
        while not state:
            try:
                state, last_answer = self._look(), time.monotonic()
            except (ApiException, HTTPError) as error:
                self._show(f"Kubernetes: {_reason_of(error)}")
                if _is_gone(error) or time.monotonic() > last_answer + PATIENCE:
                    self.cancel()
                    return False
            time.sleep(0 if state else INTERVAL)
        if state == "Complete" and not self._exited_well:
            self._show("The job is complete, but no node said that its command ended well.")
        self._sink.close()
        return state == "Complete" and self._exited_well

    def cancel(self) -> None:
        """Delete the job and its pods, which Kubernetes would leave at work by default."""
        options = V1DeleteOptions(propagation_policy="Background")
        try:
            self._batch.delete_namespaced_job(self._name, self._namespace, body=options)
        except (ApiException, HTTPError) as error:
            if not _is_gone(error):
                print(f"The job {self._name} could not be deleted: {_reason_of(error)}")
        self._sink.close()

    def _look(self) -> str:
        """Pass on what is new; returns Complete or Failed once the job has ended."""
        job = self._batch.read_namespaced_job_status(self._name, self._namespace)
        selector = f"job-name={self._name}"
        pods = self._core.list_namespaced_pod(self._namespace, label_selector=selector).items
        for pod in pods:
            self._exited_well |= _exited_well(pod)
            if pod.status.phase == "Pending":
                self._explain(pod)
            elif pod.metadata.name not in self._shown:
                self._follow(pod)
        states = {each.type for each in job.status.conditions or [] if each.status == "True"}
        for each in [*pods, job] if "Failed" in states else []:
            self._explain(each)
        return next((state for state in ("Failed", "Complete") if state in states), "")

    def _follow(self, pod: V1Pod) -> None:
        """Pass on all that a pod prints, until it ends."""
        name, container = pod.metadata.name, pod.spec.containers[0].name
        self._shown.add(name)
        try:
            output = self._core.read_namespaced_pod_log(
                name, self._namespace, container=container, follow=True, _preload_content=False
            )
            for block in output.stream():
                self._sink.write(block)
        except (ApiException, HTTPError) as error:  # the job may go on all the same
            self._show(f"The log of {name} ends here: {_reason_of(error)}")

    def _explain(self, item: V1Pod | V1Job) -> None:
        """Show why a pod does not start or has ended, or why a job has failed."""
        states = [each.state for each in getattr(item.status, "container_statuses", None) or []]
        reasons = [each.waiting or each.terminated for each in states]
        conditions = item.status.conditions or []
        reasons += [each for each in conditions if each.type in ("PodScheduled", "Failed")]
        for each in [*reasons, item.status]:
            reason, message = getattr(each, "reason", ""), getattr(each, "message", "")
            if reason == "OOMKilled" or (message and reason != "BackoffLimitExceeded"):
                self._show(
                    f"{item.metadata.name}: {reason}: {message or 'it took too much memory'}"
                )

    def _show(self, line: str) -> None:
        """Put a line into the output, unless it is there."""
        if line not in self._shown:
            self._shown.add(line)
            self._sink.write(f"{line}\n".encode())


def _exited_well(pod: V1Pod) -> bool:
    """Tell whether the component's own process in this pod exited with 0."""
    name, containers = pod.spec.containers[0].name, pod.status.container_statuses or []
    ends = [each.state.terminated for each in containers if each.name == name]
    return any(end and end.exit_code == 0 for end in ends)


def _is_gone(error: Exception) -> bool:
    return getattr(error, "status", None) == 404


def _reason_of(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)
