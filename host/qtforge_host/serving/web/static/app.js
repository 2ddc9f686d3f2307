// What is not hypermedia: theme, clocks, copies, keys, the login, and the live stream of this tab.
(() => {
  const root = document.documentElement, base = document.body.dataset.base;
  root.classList.add("scripted");

  // Times, in the zone of who reads them.
  const span = s => s < 60 ? `${Math.floor(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 86400 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
  const ago = s => Math.abs(s) < 3 ? "just now" : s < 0 ? `in ${span(-s)}` : `${span(s)} ago`;
  const exact = new Intl.DateTimeFormat(undefined, {dateStyle: "medium", timeStyle: "long"});
  const clock = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false});
  const put = (t, text) => { if (t.textContent !== text) t.textContent = text; };
  const tick = () => {
    const now = Date.now();
    for (const t of document.querySelectorAll("time[data-ago],time[data-since]")) {
      const at = Date.parse(t.dateTime), s = (now - at) / 1000;
      put(t, "ago" in t.dataset ? ago(s) : s < 60 ? `${Math.max(s, 0).toFixed(1)} s` : span(s));
      if (t.dataset.exact !== t.dateTime) { t.dataset.exact = t.dateTime; t.title = exact.format(at); }
    }
    for (const t of document.querySelectorAll("time[data-clock]")) put(t, clock.format(Date.parse(t.dateTime)));
  };
  tick();
  setInterval(() => { if (!document.hidden) tick(); }, 1000);
  document.addEventListener("htmx:after:swap", tick);
  document.addEventListener("visibilitychange", tick);

  // A one-time link: its code is behind the #, so that no log and no proxy has seen it.
  const login = document.querySelector("form[data-login]");
  if (login && location.hash.length > 1) {
    login.elements.code.value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname + location.search);
    login.noValidate = true;
    login.submit();
  }

  const copy = (button, text) => navigator.clipboard?.writeText(text).then(() => {
    button.dataset.done = "";
    setTimeout(() => delete button.dataset.done, 1500);
  });
  document.addEventListener("click", e => {
    const b = e.target.closest("[data-copy],[data-copy-before],[data-theme-toggle]");
    if (!b) return;
    if (b.dataset.copy) return copy(b, b.dataset.copy);
    if ("copyBefore" in b.dataset) return copy(b, b.previousElementSibling.textContent);
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `qtforge-theme=${root.dataset.theme}; path=${base}; max-age=31536000; samesite=strict`;
  });

  // The command of an action, with what was filled in.
  const quoted = text => /^[\w@%+=:,.\/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
  document.addEventListener("input", e => {
    const form = e.target.closest("form[data-command]");
    if (!form) return;
    const words = [form.dataset.command];
    for (const { type, checked, value, dataset: { flag, key = "" } } of form.querySelectorAll("[data-flag]"))
      if (type === "checkbox" && !key) words.push(...(checked ? [flag] : []));
      else if (type === "checkbox" || value) words.push(`${flag} ${quoted(key + (type === "checkbox" ? checked : value))}`);
    form.querySelector(".cmd code").textContent = words.join(" ");
  });
  document.querySelectorAll("form.start").forEach(form => form.dispatchEvent(new Event("input", { bubbles: true })));
  document.addEventListener("change", e => e.target.closest("form[data-filters]")?.requestSubmit());
  // A form is sent once, however often it is clicked.
  document.addEventListener("submit", e => {
    if (e.target.method !== "post") return;
    if ("sent" in e.target.dataset) return e.preventDefault();
    e.target.dataset.sent = "";
    setTimeout(() => delete e.target.dataset.sent, 5000);
  });
  addEventListener("pageshow", () => document.querySelectorAll("[data-sent]").forEach(f => delete f.dataset.sent));

  // A step that is linked to is opened.
  const reveal = () => {
    const step = location.hash && document.getElementById(location.hash.slice(1));
    if (step?.localName === "details") { step.open = true; step.scrollIntoView({block: "start"}); }
  };
  reveal();
  addEventListener("hashchange", reveal);

  // The live stream. A browser keeps six connections to a host, for all tabs: at most four of them
  // are streams, of tabs that can be seen; further tabs ask every few seconds.
  const at = () => document.getElementById("live"), light = document.querySelector(".live");
  if (at()) {
    let live = null, release = null, since = 0;
    const show = on => { light.dataset.state = on ? "on" : "off"; put(light, on ? "live" : "offline"); };
    const slot = async () => {
      if (!navigator.locks) return () => {};
      for (let n = 0; n < 4; n++) {
        const got = await new Promise(done => navigator.locks.request(`qtforge${base}-${n}`, {ifAvailable: true},
          lock => lock ? new Promise(free => done(free)) : done(null)));
        if (got) return got;
      }
      return null;
    };
    const close = () => {
      live?._htmx?.sse?.reader?.cancel();
      live?.remove();
      live = null;
      release?.();
      release = null;
    };
    const open = async () => {
      if (live || document.hidden) return;
      const mine = live = document.createElement("div"), got = await slot();
      if (live !== mine) return got?.();
      release = got;
      since = Date.now();
      live.setAttribute("hx-swap", "none");
      if (got) { live.setAttribute("hx-sse:connect", at().dataset.live); live.setAttribute("hx-sse:close", "end"); }
      else { live.setAttribute("hx-get", `${at().dataset.live}&once=1`); live.setAttribute("hx-trigger", "every 3s"); show(true); }
      at().append(live);
      htmx.process(live);
    };
    document.addEventListener("DOMContentLoaded", open);
    document.addEventListener("visibilitychange", () => document.hidden ? close() : open());
    addEventListener("pagehide", close);
    addEventListener("pageshow", e => { if (e.persisted) open(); });
    document.addEventListener("htmx:sse:after:connection", () => show(true));
    document.addEventListener("htmx:sse:after:message", tick);
    document.addEventListener("htmx:sse:error", () => show(false));
    // Another filter: the stream is that of the list that is shown now.
    let shown = at().dataset.live;
    document.addEventListener("htmx:after:swap", () => {
      if (at() && at().dataset.live !== shown) { shown = at().dataset.live; close(); open(); }
    });
    let over = false;
    document.addEventListener("end", () => { over = true; show(false); }, true);
    // A first connection that failed is not tried again by htmx.
    setInterval(() => {
      if (!over && live && release && !live._htmx?.sse && Date.now() - since > 4000) { show(false); close(); open(); }
    }, 2000);
  }

  let before = "";
  document.addEventListener("keydown", e => {
    if (e.metaKey || e.ctrlKey || e.altKey || e.target.matches("input,textarea,select")) return;
    const pages = {r: "runs", i: "inbox", w: "workflows", s: "schedules", p: "plugins", h: "health"};
    const rows = [...document.querySelectorAll("td.name a, .step > summary, .gantt a.lab")];
    const at = rows.indexOf(document.activeElement);
    if (before === "g" && pages[e.key]) document.querySelector(`nav a[href="${base}/${pages[e.key]}"]`)?.click();
    else if (e.key === "/") { const q = document.querySelector("[name=q],.filters select"); if (q) { e.preventDefault(); q.focus(); } }
    else if (e.key === "j") rows[Math.min(at + 1, rows.length - 1)]?.focus();
    else if (e.key === "k") rows[Math.max(at - 1, 0)]?.focus();
    before = e.key;
  });
})();
