/* Theme, keyboard, search, sortable tables and links. Classic scripts only: pages open from a folder. */
window.dissectreport = window.dissectreport || {};
(function (app) {
  "use strict";
  const root = document.documentElement;
  const all = (selector, within) => Array.from((within || document).querySelectorAll(selector));
  app.all = all;

  app.remember = (key, value) => {
    try {
      if (value === undefined) return localStorage.getItem("dissectreport-" + key);
      localStorage.setItem("dissectreport-" + key, value);
    } catch {
      /* private windows keep nothing */
    }
    return null;
  };
  app.say = (words) => {
    document.getElementById("said").textContent = words;
  };
  /* numbers as the pages write them: two decimals, 0 and 1 only if they are exact */
  app.share = (v) =>
    v === null
      ? "–"
      : v === 0 || v === 1
        ? String(v)
        : Math.abs(v) < 0.005
          ? "<0.01"
          : v < 1 && v >= 0.995
            ? ">0.99"
            : v.toFixed(2).replace("-", "−");
  app.times = (v) => (v === null ? "–" : v.toFixed(v >= 100 ? 0 : 1) + "×");
  app.data = (id) => JSON.parse(document.getElementById(id).textContent);

  /* what a page shows is in its address after #, so that a link shows the same; what nobody can have chosen is cut off,
     because anybody can make a link */
  const LONGEST = 60000;
  app.view = {
    words: () => location.hash.slice(1, LONGEST),
    get: () => new URLSearchParams(app.view.words()),
    set: (changes) => {
      const state = app.view.get();
      Array.from(state).forEach(([name, value]) => value || state.delete(name));
      Object.entries(changes).forEach(([name, value]) =>
        value === null ? state.delete(name) : state.set(name, value),
      );
      const words = state.toString();
      history.replaceState(null, "", words ? "#" + words : location.pathname + location.search);
    },
  };

  /* a line that everybody sees for some seconds, and that is read out */
  let gone = 0;
  app.tell = (words) => {
    const toast = document.getElementById("toast");
    toast.textContent = words;
    toast.hidden = false;
    app.say(words);
    clearTimeout(gone);
    gone = setTimeout(() => {
      toast.hidden = true;
    }, 6000);
  };

  /* light and dark */
  app.isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  all("[data-theme-toggle]").forEach((button) =>
    button.addEventListener("click", () => {
      root.dataset.theme = app.isDark() ? "light" : "dark";
      app.remember("theme", root.dataset.theme);
      app.say(root.dataset.theme + " theme");
      document.dispatchEvent(new Event("themechange"));
    }),
  );

  /* keyboard: data-shortcut in the page is the only list of keys */
  const help = document.getElementById("help");
  const keysOn = document.getElementById("keys-on");
  keysOn.checked = app.remember("keys") !== "off";
  keysOn.addEventListener("change", () => app.remember("keys", keysOn.checked ? "on" : "off"));
  const named = { ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };
  all("[data-shortcut]").forEach((element) => {
    const row = help.querySelector("dl");
    const term = document.createElement("dt");
    element.dataset.shortcut.split(" ").forEach((key) => {
      const sign = document.createElement("kbd");
      sign.textContent = named[key] || key;
      term.append(sign, " ");
    });
    const words = document.createElement("dd");
    words.textContent = element.dataset.help || element.getAttribute("aria-label") || element.textContent;
    row.append(term, words);
  });
  all("[data-help-toggle]").forEach((button) =>
    button.addEventListener("click", () => (help.open ? help.close() : help.showModal())),
  );
  const typing = "input:not([type=range]):not([type=checkbox]), select, textarea";
  const usesArrows = "[role=application], [type=range], .plot, .scroll, .plotly-host";
  /* whether a key is a shortcut here, and not typed or used by what has the focus */
  const isShortcut = ({ key, target }) => {
    if (target.matches(typing) || (help.open && key !== "?")) return false;
    return key.startsWith("Arrow") ? !target.closest(usesArrows) : keysOn.checked;
  };
  /* the search, and what it knows, are loaded when somebody searches */
  const openers = all("[data-search-open]");
  let searching = null;
  const search = () => {
    const [own, ...known] = root.dataset.search.split(" ");
    searching ||= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = own;
      script.addEventListener("load", resolve);
      script.addEventListener("error", reject);
      document.head.append(script);
    });
    searching.then(
      () => app.openSearch(known),
      () => app.tell("the search could not be loaded"),
    );
  };
  openers.forEach((button) => button.addEventListener("click", search));
  document.addEventListener("keydown", (event) => {
    if (openers.length && (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      search();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape" && event.target.matches(typing)) event.target.blur();
    if (!isShortcut(event)) return;
    const hit = all("[data-shortcut]").find((e) => e.dataset.shortcut.split(" ").includes(event.key));
    if (!hit) return;
    event.preventDefault();
    if (hit.matches("input, select")) hit.focus();
    else hit.click();
  });

  /* tables: every heading sorts */
  const cellValue = (row, at) => {
    const cell = row.cells[at];
    const data = cell.querySelector("data");
    const words = (data ? data.value : cell.textContent).trim();
    if (words === "–" || words === "") return null;
    const percent = words.endsWith("%");
    const number = parseFloat(words.replace("−", "-").replace(/[,<>×]/g, ""));
    return /^[<>−-]?[\d.]/.test(words) && !Number.isNaN(number) ? (percent ? number / 100 : number) : words;
  };
  app.compare = (a, b, down) => {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return down ? -order : order;
  };
  all("table.sortable").forEach((table, number) => {
    const key = number ? "order" + (number + 1) : "order";
    const heads = all("thead th:not([data-fixed])", table);
    const order = (head, down) => {
      all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = Array.from(body.rows).map((row, i) => [cellValue(row, head.cellIndex), i, row]);
      rows.sort((a, b) => app.compare(a[0], b[0], down) || a[1] - b[1]);
      body.append(...rows.map((row) => row[2]));
    };
    heads.forEach((head) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const down = now ? now === "ascending" : head.classList.contains("n");
        order(head, down);
        app.view.set({ [key]: (down ? "-" : "") + button.textContent.trim() });
        app.say("sorted by " + button.textContent);
      });
    });
    const asked = () => {
      const words = app.view.get().get(key) || "";
      const head = heads.find((one) => one.textContent.trim() === words.replace(/^-/, ""));
      if (head) order(head, words.startsWith("-"));
      const folded = head && table.closest("details");
      if (folded) folded.open = true;
    };
    addEventListener("hashchange", asked);
    asked();
  });

  all("[data-copy]").forEach((button) =>
    button.addEventListener("click", () => {
      const range = document.createRange();
      range.selectNodeContents(document.getElementById(button.dataset.copy));
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      document.execCommand("copy");
      app.tell("copied");
    }),
  );

  /* the address of what is shown, with or without the words that cite it; a folder has no clipboard of its own */
  app.copy = (words, button, done) => {
    const field = document.createElement("textarea");
    field.value = words;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
    app.tell(done);
  };
  const published = document.querySelector("link[rel=canonical]");
  const own = location.protocol === "file:";
  const addressOf = (hash) => (own && published ? published.href : location.href.replace(/#.*/, "")) + hash;
  const warning = own && !published ? "; it opens only on this computer, because this page is not published" : "";
  /* what the address says beyond the page, in words */
  const carried = () => {
    const names = { c: "concept", q: "filter", u: "unit", s: "image", sort: "order", cat: "category", m: "model" };
    const parts = Array.from(app.view.get(), ([name, value]) => (names[name] || name) + " " + value);
    return parts.some((part) => !part.endsWith(" ")) ? "; it shows " + parts.join(", ") : "";
  };
  app.copyLink = (button, words) =>
    app.copy(
      (words ? words + ", " : "") + addressOf(location.hash),
      button,
      (words ? "citation" : "link") + " copied" + warning + carried(),
    );
  all("[data-copy-link]").forEach((button) =>
    button.addEventListener("click", () => app.copyLink(button, button.dataset.copyLink)),
  );

  /* figures and units: cited by BibTeX, and embedded in other pages */
  const titleOf = (part) => {
    const heading = part.querySelector("h3, h2");
    return (heading ? heading.textContent.trim() + ": " : "") + document.title.replace(" · dissectreport", "");
  };
  all("[data-cite]").forEach((button) =>
    button.addEventListener("click", () => {
      const id = button.dataset.cite;
      const run = document.querySelector("footer p:not(.note)");
      const entry = [
        "@misc{" +
          (location.pathname.split("/").slice(-3).join("-").replace(".html", "") + "-" + id).replace(/[^\w-]/g, "-"),
        "  title = {" + titleOf(document.getElementById(id)) + "}",
        "  author = {{dissectreport}}",
        "  note = {" + (run ? run.textContent.trim().replace(/\s+/g, " ") : "") + "}",
        "  howpublished = {\\url{" + addressOf("#" + id) + "}}",
      ];
      app.copy(entry.join(",\n") + "\n}\n", button, "BibTeX of this figure copied" + warning);
    }),
  );
  const partsOf = (name) =>
    [document.getElementById(name), ...all('[data-embed="' + CSS.escape(name) + '"]')].filter(Boolean);
  all("[data-embed-code]").forEach((button) =>
    button.addEventListener("click", () => {
      const name = button.dataset.embedCode;
      const height = partsOf(name).reduce((sum, part) => sum + part.offsetHeight + 24, 60);
      const frame = document.createElement("iframe");
      Object.entries({
        src: addressOf("#embed=" + name),
        title: titleOf(partsOf(name)[0]),
        width: "720",
        height,
      }).forEach(([key, value]) => frame.setAttribute(key, value));
      frame.setAttribute("style", "border:0;max-width:100%");
      frame.setAttribute("loading", "lazy");
      app.copy(frame.outerHTML, button, "code for other pages copied" + warning);
    }),
  );
  /* a page that another page embeds shows one part, with a link to the whole */
  const embedded = partsOf(app.view.get().get("embed") || "");
  if (embedded.length) {
    root.classList.add("embedded");
    const whole = document.createElement("a");
    whole.className = "embed-part whole";
    whole.href = location.href.replace(/#.*/, "");
    whole.textContent = document.title;
    document.getElementById("main").append(whole);
    embedded.forEach((part) => {
      part.classList.add("embed-part");
      for (let at = part.parentElement; at !== document.body; at = at.parentElement) at.classList.add("embed-way");
    });
    all("a[href]").forEach((link) => link.setAttribute("target", "_top"));
  }
})(window.dissectreport);
