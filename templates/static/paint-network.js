/* Loading: parts of files that arrive as classic scripts, unpacked, and the worker that runs them. */
window.dissectreport = window.dissectreport || {};
(function (app) {
  "use strict";
  const parts = {};
  app.part = (name, number, words) => {
    (parts[name] ||= [])[number] = words;
  };
  const script = (address) =>
    new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = address;
      element.addEventListener("load", resolve);
      element.addEventListener("error", () => reject(new Error("a part of the network could not be loaded")));
      document.head.append(element);
    });
  const bytesOf = (words) => Uint8Array.from(atob(words), (sign) => sign.charCodeAt(0));
  const unpacked = (words) => {
    const packed = new Blob(words.map(bytesOf)).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(packed).arrayBuffer().then((content) => new Uint8Array(content));
  };

  /* the content of a file; `arrived` is told the characters of every part */
  app.loadFile = (name, addresses, arrived) =>
    Promise.all(
      addresses.map((address, number) =>
        script(address).then(() => {
          if (!parts[name] || parts[name][number] === undefined) throw new Error("a part of the network is damaged");
          arrived(parts[name][number].length);
        }),
      ),
    ).then(() => {
      const words = parts[name];
      delete parts[name];
      return unpacked(words).catch(() => {
        throw new Error("a part of the network is damaged");
      });
    });

  /* an image of the network, (3, height, width) in [-1, 1], cut off as in every picture of the report */
  app.putImage = (canvas, values, [height, width]) => {
    const area = height * width;
    const picture = new ImageData(width, height);
    const pixels = picture.data.fill(255); /* cut off at 0 and 255 by its type */
    for (let channel = 0; channel < 3; channel++) {
      for (let i = 0; i < area; i++) {
        pixels[4 * i + channel] = Math.floor(Math.fround(Math.fround(values[channel * area + i] + 1) * 127.5));
      }
    }
    canvas.getContext("2d").putImageData(picture, 0, 0);
    canvas.hidden = false;
  };

  /* why networks cannot run in this browser; "" where they can */
  app.cannotPaint = () => {
    if (typeof WebAssembly !== "object") return "This browser has no WebAssembly, in which the network would run.";
    if (typeof DecompressionStream !== "function" || typeof Worker !== "function")
      return "This browser is too old to run the network; a current one can.";
    return "";
  };

  /* a worker with the runtime in it, as functions that give promises */
  app.startWorker = (runtime) => {
    const work = ["\n;(", app.paintWorker.toString(), ")(", String(app.latentOf), ");"];
    const source = new Blob([runtime.ort, ...work], { type: "text/javascript" });
    const worker = new Worker(URL.createObjectURL(source));
    const waiting = new Map();
    let last = 0;
    worker.addEventListener("message", ({ data }) => {
      const { resolve, reject } = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error === undefined) resolve(data.answer);
      else reject(new Error(data.error));
    });
    worker.addEventListener("error", (event) => {
      waiting.forEach(({ reject }) => reject(new Error(event.message || "the worker could not start")));
      waiting.clear();
    });
    const ask = (task, more, moved) =>
      new Promise((resolve, reject) => {
        last += 1;
        waiting.set(last, { resolve, reject });
        worker.postMessage({ task, id: last, ...more }, moved || []);
      });
    return {
      start: () => ask("start", { glue: runtime.glue, wasm: runtime.wasm }),
      open: (name, content) => ask("open", { name, content, processor: runtime.processor }, [content.buffer]),
      end: () => worker.terminate(),
      run: (name, inputs) => ask("run", { name, inputs }),
      latent: (seed, sample, length) => ask("latent", { seed, sample, length }).then((answer) => answer.data),
    };
  };

  /* numbers of half precision */
  const halves = (bytes, from, count) =>
    Float32Array.from(new Uint16Array(bytes.buffer.slice(from, from + 2 * count)), (code) => {
      const exponent = (code >> 10) & 31;
      const value = exponent ? (1 + (code & 1023) / 1024) * 2 ** (exponent - 15) : (code & 1023) * 2 ** -24;
      return code & 0x8000 ? -value : value;
    });
  const size = (shape) => shape.reduce((a, b) => a * b, 1);
  const one = (values, shape) => ({ data: values, shape: [1, ...shape] });

  /* what the tail takes for a scene: kept for the gallery, or computed by the head from a latent */
  const scenes = (data, gallery, worker) => {
    const length = size(data.latent);
    const latent = (sample) => {
      const number = data.samples.indexOf(sample);
      if (number < 0) return worker.latent(data.seed, sample, length);
      return Promise.resolve(new Float32Array(gallery.buffer.slice(4 * length * number, 4 * length * (number + 1))));
    };
    const stored = (sample) => {
      const number = data.samples.indexOf(sample) - data.samples.length + data.stored;
      let from = 4 * length * data.samples.length;
      const next = (shape) => {
        const values = halves(gallery, from + 2 * size(shape) * number, size(shape));
        from += 2 * size(shape) * data.stored;
        return one(values, shape);
      };
      const map = [data.units, ...data.cells.map((side) => side + 2 * data.margin)];
      const others = Object.entries(data.others);
      return { activations: next(map), ...Object.fromEntries(others.map(([name, shape]) => [name, next(shape)])) };
    };
    return (sample) =>
      latent(sample).then((values) => {
        const given = one(values, data.latent);
        const isStored = data.samples.indexOf(sample) >= data.samples.length - data.stored;
        if (isStored) return { latent: given, ...stored(sample) };
        return worker.run("head", { latent: given }).then(({ outputs }) => ({ latent: given, ...outputs }));
      });
  };

  /* a graphics processor where there is a real one, and a browser that waits for it within WebAssembly */
  const chooseProcessor = () => {
    const asked = app.view.get().get("p");
    if (asked === "wasm" || !navigator.gpu || typeof WebAssembly.Suspending !== "function")
      return Promise.resolve("wasm");
    return navigator.gpu
      .requestAdapter()
      .then((adapter) => (adapter && (asked === "webgpu" || !adapter.info.isFallbackAdapter) ? "webgpu" : "wasm"))
      .catch(() => "wasm");
  };

  /* the networks of a page: `segments` is true once the segmenter is there; `progress` is told megabytes, of how many */
  app.loadPaint = (data, progress) =>
    chooseProcessor().then((processor) =>
      loadOn(data, processor, progress).catch((error) => {
        if (processor === "wasm") throw error;
        return loadOn(data, "wasm", progress);
      }),
    );
  const loadOn = (data, processor, progress) => {
    let characters = 0;
    const arrived = (more) => {
      characters += more;
      progress(characters / 1e6, data.bytes[processor] / 1e6);
    };
    const file = (name) => (data.files[name] ? app.loadFile(name, data.files[name], arrived) : null);
    const text = (name) => file(name).then((content) => new TextDecoder().decode(content));
    const runtime = [text(processor + "-ort"), text(processor + "-glue"), file(processor + "-binary")];
    const needed = [...runtime, file("gallery"), file("tail"), file("head")];
    return Promise.all(needed).then(([ort, glue, wasm, gallery, tail, head]) => {
      const start = () => app.startWorker({ ort, glue, wasm, processor });
      const worker = start();
      /* strokes do not wait for the segmenter: it has a worker of its own, but not a graphics processor of its own */
      const segmenter = processor === "wasm" ? start : () => worker;
      let labels = worker;
      const network = {
        run: (name, inputs) => (name === "labels" ? labels : worker).run(name, inputs),
        /* each size of a window would be prepared anew by a graphics processor, which needs no windows */
        draw: app.drawsChanges(processor === "wasm" ? data : { ...data, reach: 0 }, worker.run),
        processor,
        inputsOf: scenes(data, gallery, worker),
        segments: false,
        openSegmenter: () =>
          Promise.resolve(file("labels"))
            .then((content) => {
              if (!content) return null;
              labels = segmenter();
              return Promise.resolve(labels === worker || labels.start()).then(() => labels.open("labels", content));
            })
            .then((opened) => {
              network.segments = Boolean(opened);
            }),
      };
      return worker
        .start()
        .then(() => worker.open("tail", tail))
        .then(() => head && worker.open("head", head))
        .then(
          () => network,
          (error) => {
            worker.end();
            throw error;
          },
        );
    });
  };

  /* the latest request is answered: those that came while another ran are answered by the last of them */
  app.latest = (work) => {
    let running = null;
    let next = null;
    const begin = (request) => {
      running = request;
      work(request).finally(() => {
        running = null;
        if (next) {
          const following = next;
          next = null;
          begin(following);
        }
      });
    };
    return (request) => {
      if (running) next = request;
      else begin(request);
    };
  };
})(window.dissectreport);
