"""What becomes of a job of Kubernetes: its end, and all that its pods print."""

import os
import time

from kubernetes.client import (
    ApiException,
    CoreV1Api,
    V1DeleteOptions,
    V1Job,
    V1Pod,
)
from mlflow.entities import RunStatus
from mlflow.projects.kubernetes import KubernetesSubmittedRun
from urllib3.exceptions import HTTPError

TELLING = ("PodScheduled", "Failed")  # conditions whose messages tell what is wrong
INTERVAL = 1  # seconds
PATIENCE = 60  # seconds that the cluster may be away


def _is_gone(error: Exception) -> bool:
    return getattr(error, "status", None) == 404


def _reason_of(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error)


def _has_ended_well(pod: V1Pod) -> bool:
    """Tell whether the component's own process in this pod exited with 0."""
    name, containers = pod.spec.containers[0].name, pod.status.container_statuses or []
    ends = [each.state.terminated for each in containers if each.name == name]
    return any(end and end.exit_code == 0 for end in ends)


class JobRun(KubernetesSubmittedRun):
    """MLflow's, but what the pods print is passed on, and cancelling takes the pods with it."""

    def __init__(self, run_id: str, name: str, namespace: str):
        super().__init__(run_id, name, namespace)
        self._core = CoreV1Api()
        # What is written into one end is read from the other for the component's log
        output, log = os.pipe()
        self.output, self._log = os.fdopen(output, "rb"), os.fdopen(log, "wb", buffering=0)
        self._ended_well = False  # the command, by a node's word
        self._told: set[str] = set()

    def wait(self) -> bool:
        """Pass on what the pods print until the job has ended; tell whether it has ended well."""
        ended, away_since = False, 0.0
        while not ended:
            try:
                ended, away_since = self._look(), 0.0
            except (ApiException, HTTPError) as error:
                self._tell(f"Kubernetes: {_reason_of(error)}")
                away_since = away_since or time.monotonic()
                if _is_gone(error) or time.monotonic() > away_since + PATIENCE:
                    self.cancel()
                    return False
            time.sleep(0 if ended else INTERVAL)
        if self._status == RunStatus.FINISHED and not self._ended_well:
            self._tell("The job is complete, but no node said that its command ended well.")
        self._log.close()
        return self._status == RunStatus.FINISHED and self._ended_well

    def cancel(self) -> None:
        """Take the job off the cluster; Kubernetes would leave its pods at work if not told."""
        options = V1DeleteOptions(propagation_policy="Background")
        try:
            self._kube_api.delete_namespaced_job(self._job_name, self._job_namespace, body=options)
            self._status = RunStatus.KILLED
        except (ApiException, HTTPError) as error:
            if not _is_gone(error):
                print(f"The job {self._job_name} could not be deleted: {_reason_of(error)}")
        self._log.close()

    def _look(self) -> bool:
        """Pass on what is new; tell whether the job has ended."""
        ended = RunStatus.is_terminated(self._update_status())
        selector = f"job-name={self._job_name}"
        pods = self._core.list_namespaced_pod(self._job_namespace, label_selector=selector).items
        for pod in pods:
            self._ended_well |= _has_ended_well(pod)
            if pod.status.phase == "Pending":
                self._explain(pod)
            elif pod.metadata.name not in self._told:
                self._follow(pod)
        if self._status == RunStatus.FAILED:
            job = self._kube_api.read_namespaced_job_status(self._job_name, self._job_namespace)
            for each in [*pods, job]:
                self._explain(each)
        return ended

    def _follow(self, pod: V1Pod) -> None:
        """Pass on all that a pod prints, until it ends."""
        name, container = pod.metadata.name, pod.spec.containers[0].name
        self._told.add(name)
        try:
            output = self._core.read_namespaced_pod_log(
                name, self._job_namespace, container=container, follow=True, _preload_content=False
            )
            for block in output.stream():
                self._log.write(block)
        except (ApiException, HTTPError) as error:  # the job may go on all the same
            self._tell(f"The log of {name} ends here: {_reason_of(error)}")

    def _explain(self, it: V1Pod | V1Job) -> None:
        """Tell why a pod does not start or has ended, or why a job has failed."""
        states = [each.state for each in getattr(it.status, "container_statuses", None) or []]
        reasons = [each.waiting or each.terminated for each in states]
        reasons += [each for each in it.status.conditions or [] if each.type in TELLING]
        for each in [*reasons, it.status]:
            reason, message = getattr(each, "reason", ""), getattr(each, "message", "")
            if reason == "OOMKilled" or (message and reason != "BackoffLimitExceeded"):
                self._tell(f"{it.metadata.name}: {reason}: {message or 'it took too much memory'}")

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._log.write(f"{line}\n".encode())
