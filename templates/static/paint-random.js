/* The latents of samples, drawn as numpy's RandomState draws them, so that a number means the same scene everywhere. */
window.dissectreport = window.dissectreport || {};
(function (app) {
  "use strict";
  /* the latent of a sample: the series of a seed, a row for each sample; its source runs in the worker, too */
  app.latentOf = function (series, sample, length) {
    const SIZE = 624;

    /* the Mersenne Twister, whose numbers are 32 bits long */
    const twister = (seed) => {
      const state = new Uint32Array(SIZE);
      state[0] = seed;
      for (let i = 1; i < SIZE; i++) {
        state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
      }
      let at = SIZE;
      const renew = () => {
        for (let i = 0; i < SIZE; i++) {
          const joined = (state[i] & 0x80000000) | (state[(i + 1) % SIZE] & 0x7fffffff);
          state[i] = state[(i + 397) % SIZE] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
        }
        at = 0;
      };
      return () => {
        if (at === SIZE) renew();
        let value = state[at++];
        value ^= value >>> 11;
        value ^= (value << 7) & 0x9d2c5680;
        value ^= (value << 15) & 0xefc60000;
        return (value ^ (value >>> 18)) >>> 0;
      };
    };

    /* the standard normal numbers of RandomState(seed), by the polar method in pairs */
    const normal = (seed) => {
      const next = twister(seed);
      const uniform = () => ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
      let kept = null;
      return () => {
        if (kept !== null) {
          const value = kept;
          kept = null;
          return value;
        }
        let x = 0;
        let y = 0;
        let square = 0;
        do {
          x = 2 * uniform() - 1;
          y = 2 * uniform() - 1;
          square = x * x + y * y;
        } while (square >= 1 || square === 0);
        const factor = Math.sqrt((-2 * Math.log(square)) / square);
        kept = factor * x;
        return factor * y;
      };
    };

    const draw = normal(series);
    for (let i = 0; i < sample * length; i++) draw();
    return Float32Array.from({ length }, draw);
  };
})(window.dissectreport);
