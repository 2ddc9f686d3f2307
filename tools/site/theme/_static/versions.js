// Lists the versions that the site holds, and goes to the same page of the one that is chosen.
(async () => {
  const place = document.querySelector(".site-version");
  if (!place) return;
  const { root, version } = place.dataset;
  const site = new URL(`${root}../`, document.baseURI);
  let versions;
  try {
    versions = await (await fetch(new URL("versions.json", site))).json();
  } catch {
    return; // read from a disk: the text with this page's version stays
  }
  if (!Array.isArray(versions) || versions.length < 2) return;
  const list = document.createElement("select");
  list.setAttribute("aria-label", "Version of the documentation");
  for (const each of versions) {
    list.add(new Option(`Version ${each}`, each, each === version, each === version));
  }
  const page = location.pathname.slice(new URL(root, document.baseURI).pathname.length);
  list.addEventListener("change", async () => {
    const same = new URL(`${list.value}/${page}`, site);
    const found = await fetch(same, { method: "HEAD" }).catch(() => null);
    location.href = found && found.ok ? same : new URL(`${list.value}/`, site);
  });
  place.replaceChildren(list);
})();
