"""The score card's adapter for the kubernetes package: CoreV1Api, and SharedInformer as the mirror.

No option but --client-go-retries, which sets Configuration.client_go_retries. The protocol is described in
docs/SCORECARD.md.
"""

import json
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import urllib3
from kubernetes import client, config
from kubernetes.informer import SharedInformer

CLIENT_GO_RETRIES = "--client-go-retries" in sys.argv


class Unsupported(Exception):
    """The client has no such operation."""


class Adapter:
    def __init__(self):
        self.maps = None
        self.informer = None

    def hello(self, _args, **_timeout):
        options = ["client_go_retries"] if CLIENT_GO_RETRIES else []
        runtime = f"Python {platform.python_version()}, urllib3 {version('urllib3')}"
        return {"name": "python", "version": version("kubernetes"), "runtime": runtime, "options": options}

    def open(self, args, **_timeout):
        self.stop(args)
        settings = client.Configuration()
        settings.client_go_retries = CLIENT_GO_RETRIES
        config.load_kube_config(config_file=args["kubeconfig"], client_configuration=settings)
        self.maps = client.CoreV1Api(client.ApiClient(settings))

    def get(self, args, **timeout):
        return self.plain(self.maps.read_namespaced_config_map(args["name"], args["namespace"], **timeout))

    def create(self, args, **timeout):
        return self.plain(self.maps.create_namespaced_config_map(args["namespace"], args["object"], **timeout))

    def update(self, args, **timeout):
        name = args["object"]["metadata"]["name"]
        return self.plain(
            self.maps.replace_namespaced_config_map(name, args["namespace"], args["object"], **timeout)
        )

    def patch(self, args, **timeout):
        return self.plain(
            self.maps.patch_namespaced_config_map(args["name"], args["namespace"], args["patch"], **timeout)
        )

    def delete(self, args, **timeout):
        self.maps.delete_namespaced_config_map(args["name"], args["namespace"], **timeout)

    def list(self, args, **timeout):
        if "limit" in args:
            raise Unsupported("there is no pager")
        return {"names": [item.metadata.name for item in self.maps.list_namespaced_config_map(args["namespace"], **timeout).items]}

    def burst(self, args, **timeout):
        with ThreadPoolExecutor(len(args["names"])) as threads:
            reads = [threads.submit(self.get, {**args, "name": name}, **timeout) for name in args["names"]]
            for read in reads:
                read.result()

    def sync(self, args, **timeout):
        if timeout:
            raise Unsupported("an informer has no limit for silence")
        self.informer = SharedInformer(self.maps.list_namespaced_config_map, namespace=args["namespace"])
        self.informer.start()

    def store(self, _args, **_timeout):
        return {"objects": {item.metadata.name: (item.data or {}).get("v", "") for item in self.informer.cache.list()}}

    def stop(self, _args, **_timeout):
        if self.informer is not None:
            # Not stop(): that waits for the thread, which may sit in a read for as long as the server likes.
            self.informer._stop_event.set()
            self.informer = None

    def plain(self, found):
        return self.maps.api_client.sanitize_for_serialization(found)


def failure(error):
    if isinstance(error, Unsupported):
        return {"errorClass": "unsupported", "message": str(error)}
    if isinstance(error, client.ApiException):
        return {"errorClass": "api", "code": error.status, "message": str(error)}
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return {"errorClass": "timeout", "message": str(error)}
    if isinstance(error, urllib3.exceptions.HTTPError):
        return {"errorClass": "transport", "message": str(error)}
    return {"errorClass": "other", "message": f"{type(error).__name__}: {error}"}


def main():
    adapter = Adapter()
    for line in sys.stdin:
        request = json.loads(line)
        timeout = {"_request_timeout": request["deadlineMs"] / 1000} if "deadlineMs" in request else {}
        try:
            perform = getattr(adapter, request["op"], None)
            if perform is None:
                raise Unsupported(request["op"])
            answer = {"result": perform(request["args"], **timeout) or {}}
        except Exception as error:  # every error of the client is an answer
            answer = failure(error)
        print(json.dumps({"id": request["id"], **answer}), flush=True)


if __name__ == "__main__":
    main()
