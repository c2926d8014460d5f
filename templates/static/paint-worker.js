/* What runs in the worker: ONNX Runtime Web and the networks, so that the page never waits for them. */
window.dissectreport = window.dissectreport || {};
(function (app) {
  "use strict";
  /* the source of this function is the worker's; `ort` comes before it */
  app.paintWorker = function (latentOf) {
    const networks = {};
    const tensor = (value) => new self.ort.Tensor("float32", value.data, value.shape);
    const tasks = {
      start: ({ glue, wasm }) => {
        const env = self.ort.env.wasm;
        env.numThreads = 1;
        self.ort.env.logLevel = "error";
        env.wasmPaths = { mjs: URL.createObjectURL(new Blob([glue], { type: "text/javascript" })) };
        env.wasmBinary = wasm;
        return Promise.resolve({});
      },
      open: ({ name, content, processor }) =>
        self.ort.InferenceSession.create(content, { executionProviders: [processor] }).then((session) => {
          networks[name] = session;
          return { inputs: session.inputNames, outputs: session.outputNames };
        }),
      latent: ({ seed, sample, length }) => Promise.resolve({ data: latentOf(seed, sample, length) }),
      run: ({ name, inputs }) => {
        const session = networks[name];
        const began = performance.now();
        const given = Object.fromEntries(session.inputNames.map((input) => [input, tensor(inputs[input])]));
        return session.run(given).then((found) => ({
          milliseconds: performance.now() - began,
          outputs: Object.fromEntries(
            session.outputNames.map((output) => [output, { data: found[output].data, shape: found[output].dims }]),
          ),
        }));
      },
    };
    const { postMessage } = self;
    /* one after another: a graphics processor takes no second task meanwhile */
    let last = Promise.resolve();
    self.addEventListener("message", ({ data }) => {
      last = last
        .then(() => tasks[data.task](data))
        .then((answer) => postMessage({ id: data.id, answer }))
        .catch((error) => postMessage({ id: data.id, error: String((error && error.message) || error) }));
    });
  };
})(window.dissectreport);
