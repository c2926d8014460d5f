/* The image at the head of the overview: the network draws it again while units are switched off. */
window.dissectreport = window.dissectreport || {};
(function (app) {
  "use strict";
  const data = app.data("live-data");
  const at = (id) => document.getElementById(id);
  const slider = at("live-off");
  let network = null;
  let inputs = null;
  let loading = null;

  const fail = (error) => {
    at("live-words").textContent = "The network does not run here: " + error.message;
  };
  const draw = app.latest(() => {
    const off = Number(slider.value);
    const values = inputs.activations.data.slice();
    const units = data.ranked.slice(0, off);
    const stroke = { units, values: units.map(() => 0), strength: 1, cells: null };
    app.applyStroke(values, stroke, [...data.cells, data.margin]);
    return network
      .run("tail", { ...inputs, activations: { data: values, shape: inputs.activations.shape } })
      .then(({ outputs }) => {
        app.putImage(at("live-image"), outputs.image.data, data.image);
        at("live").dataset.off = off;
      })
      .catch(fail);
  });
  const progress = (megabytes, all) => {
    at("live-words").textContent = "loading the network: " + megabytes.toFixed(1) + " of " + all.toFixed(1) + " MB";
  };
  const start = () =>
    app
      .loadPaint(data, progress)
      .then((ready) => {
        network = ready;
        return network.inputsOf(data.sample);
      })
      .then((found) => {
        inputs = found;
        at("live-words").textContent = "drawn by the network in this page";
        draw();
      })
      .catch(fail);

  const reason = app.cannotPaint();
  if (reason) {
    slider.disabled = true;
    at("live-words").textContent = reason;
  }
  slider.addEventListener("input", () => {
    at("live-count").textContent = slider.value;
    if (inputs) draw();
    else loading ||= start();
  });
})(window.dissectreport);
