// The score card's adapter for @kubernetes/client-node: CoreV1Api, and an informer as the mirror, started again five
// seconds after an error as the package's own example does. The protocol is described in docs/SCORECARD.md.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { CoreV1Api, KubeConfig, makeInformer, Observable } from "@kubernetes/client-node";

const manifest = new URL("node_modules/@kubernetes/client-node/package.json", import.meta.url);
const version = JSON.parse(readFileSync(manifest, "utf8")).version;

class Unsupported extends Error {}

let config;
let maps;
let informer;
let restart;

// Options of a call whose request is aborted at its deadline.
function within(deadlineMs) {
  if (deadlineMs === undefined) return undefined;
  const pass = (context) => new Observable(Promise.resolve(context));
  const pre = (context) => {
    context.setSignal(AbortSignal.timeout(deadlineMs));
    return pass(context);
  };
  return { middleware: [{ pre, post: pass }], middlewareMergeStrategy: "append" };
}

function stop() {
  clearTimeout(restart);
  informer?.stop();
  informer = undefined;
}

const operations = {
  hello: () => ({ name: "javascript", version, runtime: `Node.js ${process.versions.node}`, options: [] }),
  open({ kubeconfig }) {
    stop();
    config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    maps = config.makeApiClient(CoreV1Api);
  },
  get: ({ namespace, name }, options) => maps.readNamespacedConfigMap({ namespace, name }, options),
  create: ({ namespace, object }, options) => maps.createNamespacedConfigMap({ namespace, body: object }, options),
  update: ({ namespace, object }, options) =>
    maps.replaceNamespacedConfigMap({ namespace, name: object.metadata.name, body: object }, options),
  // Its default patch type is a JSON patch.
  patch: ({ namespace, name, patch }, options) => {
    const body = Object.entries(patch.data).map(([key, value]) => ({ op: "replace", path: `/data/${key}`, value }));
    return maps.patchNamespacedConfigMap({ namespace, name, body }, options);
  },
  delete: ({ namespace, name }, options) => maps.deleteNamespacedConfigMap({ namespace, name }, options),
  async list({ namespace, limit }, options) {
    if (limit !== undefined) throw new Unsupported("there is no pager");
    const all = await maps.listNamespacedConfigMap({ namespace }, options);
    return { names: all.items.map((item) => item.metadata.name) };
  },
  async burst({ namespace, names }) {
    await Promise.all(names.map((name) => maps.readNamespacedConfigMap({ namespace, name })));
  },
  sync({ namespace }, options) {
    if (options !== undefined) throw new Unsupported("an informer has no limit for silence");
    const list = () => maps.listNamespacedConfigMap({ namespace });
    const mirror = makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list);
    mirror.on("error", () => {
      if (mirror === informer) restart = setTimeout(() => mirror.start(), 5000);
    });
    informer = mirror;
    mirror.start();
  },
  store() {
    const objects = informer.list().map((item) => [item.metadata.name, item.data?.v ?? ""]);
    return { objects: Object.fromEntries(objects) };
  },
  stop,
};

function failure(error) {
  const message = String(error?.message ?? error);
  if (error instanceof Unsupported) return { errorClass: "unsupported", message };
  if (typeof error?.code === "number") return { errorClass: "api", code: error.code, message };
  if (error?.name === "AbortError" || error?.name === "TimeoutError") return { errorClass: "timeout", message };
  if (error?.name === "FetchError" || error?.errno) return { errorClass: "transport", message };
  return { errorClass: "other", message: `${error?.name}: ${message}` };
}

async function answer(request) {
  try {
    const operation = operations[request.op];
    if (operation === undefined) throw new Unsupported(request.op);
    return { result: (await operation(request.args, within(request.deadlineMs))) ?? {} };
  } catch (error) {
    return failure(error);
  }
}

// Whatever the client throws where nobody waits for it must not end the adapter.
process.on("uncaughtException", (error) => console.error(error));
process.on("unhandledRejection", (error) => console.error(error));

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  console.log(JSON.stringify({ id: request.id, ...(await answer(request)) }));
}
process.exit(0);
