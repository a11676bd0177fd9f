// The sample application: Clerk's components, the session as it is now, and
// the requests that the proxy reports. All of it is served from one origin.

const page = document.body;
const proxyPath = page.dataset.proxyPath;
const back = page.dataset.back || "/"; // where a card leads to
const $ = (id) => document.getElementById(id);

// The card is as wide as its column, and looks like the panels beside it.
const asWideAsItsColumn = {
  elements: {
    rootBox: { width: "100%" },
    cardBox: { width: "100%", maxWidth: "100%", boxShadow: "var(--shadow)", border: "1px solid var(--line)" },
  },
};

let mounted = "";

// mount shows one of Clerk's cards; when somebody is signed in, none. Where
// people do not sign in, there is no place for one.
function mount(view) {
  const card = $("card");
  if (view === mounted || !card) return;
  if (mounted === "sign-in") Clerk.unmountSignIn(card);
  if (mounted === "sign-up") Clerk.unmountSignUp(card);
  mounted = view;
  if (view === "sign-in") {
    Clerk.mountSignIn(card, {
      routing: "hash",
      signUpUrl: `/sign-up${location.search}`,
      fallbackRedirectUrl: back,
      signUpFallbackRedirectUrl: back,
      initialValues: { emailAddress: page.dataset.email },
      appearance: asWideAsItsColumn,
    });
  }
  if (view === "sign-up") {
    Clerk.mountSignUp(card, {
      routing: "hash",
      signInUrl: `/${location.search}`,
      fallbackRedirectUrl: back,
      signInFallbackRedirectUrl: back,
      appearance: asWideAsItsColumn,
    });
  }
}

function showSession({ user, session }) {
  // While it changes from one to the other, ClerkJS says undefined.
  if (user === undefined || session === undefined) return;
  if (!user) {
    page.dataset.state = "signed-out";
    mount(page.dataset.view);
    token.forget();
    return;
  }
  mount("");
  const first = page.dataset.state !== "signed-in";
  page.dataset.state = "signed-in";
  token.look();
  if (first) {
    Clerk.mountUserButton($("user-button"));
    // What is left of the card's own steps.
    if (location.hash) history.replaceState(null, "", location.pathname);
  }
}

// token shows the session token that is in the cookie: the one that a server
// would be sent with the next request.
const token = {
  raw: "",
  claims: null,
  seen: 0,

  look() {
    const raw = document.cookie.match(/(?:^|; )__session=([^;]+)/)?.[1] ?? "";
    if (raw && raw !== this.raw) this.show(raw);
    if (this.claims) this.tick();
  },

  show(raw) {
    this.raw = raw;
    this.claims = decode(raw);
    this.seen++;
    const panel = document.querySelector(".token");
    if (this.seen > 1) {
      $("renewals").textContent = this.seen === 2 ? "renewed once" : `renewed ${this.seen - 1} times`;
      panel.classList.remove("renewed");
      void panel.offsetWidth; // so that the animation starts again
      panel.classList.add("renewed");
    }
    $("claims").replaceChildren(...Object.entries(meanings).filter(([name]) => name in this.claims).map(([name, meaning]) => this.row(name, meaning)));
  },

  row(name, meaning) {
    const value = this.claims[name];
    const isTime = name === "iat" || name === "exp" || name === "nbf";
    const text = isTime ? clock(new Date(value * 1000)) : typeof value === "string" ? value : JSON.stringify(value);
    const cell = element("td", "", text);
    cell.title = String(value);
    const tr = element("tr");
    tr.append(element("th", "", name), cell, element("td", "", meaning));
    tr.dataset.claim = name;
    return tr;
  },

  tick() {
    const { iat, exp } = this.claims;
    const left = Math.max(0, Math.round(exp - Date.now() / 1000));
    $("life").style.transform = `scaleX(${Math.min(1, left / (exp - iat))})`;
    document.querySelector(".token").classList.toggle("late", left <= 10);
    $("expiry").textContent = left > 0 ? `expires in ${left} s` : "expired; ClerkJS renews it when it is next needed";
  },

  forget() {
    this.raw = "";
    this.claims = null;
    this.seen = 0;
    $("renewals").textContent = "not renewed yet";
  },
};

const meanings = {
  sub: "the user",
  sid: "the session",
  iss: "issued through",
  azp: "for pages of",
  iat: "issued at",
  exp: "expires at",
  sts: "its state",
  fva: "age of the proof",
  v: "token version",
};

function decode(jwt) {
  const payload = jwt.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(payload), (c) => c.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

function clock(date) {
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

// traffic lists what the server says went through the proxy.
const traffic = {
  source: null,
  totals: { api: 0, script: 0 },
  limit: 200,

  open() {
    if (this.source) return;
    const state = $("stream");
    this.source = new EventSource("/demo/requests");
    // The server begins every stream with what it remembers.
    this.source.addEventListener("reset", () => this.clear());
    this.source.addEventListener("history", (event) => JSON.parse(event.data).forEach((request) => this.add(request, false)));
    this.source.addEventListener("request", (event) => this.add(JSON.parse(event.data), true));
    this.source.onopen = () => { state.textContent = "live"; state.className = "live on"; };
    this.source.onerror = () => { state.textContent = "reconnecting"; state.className = "live"; };
  },

  close() {
    this.source?.close();
    this.source = null;
  },

  clear() {
    $("requests").replaceChildren();
    this.totals = { api: 0, script: 0 };
    this.count();
  },

  add(request, fresh) {
    const list = $("requests");
    const line = this.line(request);
    if (request.kind === "script") {
      this.scripts(list).add(line);
    } else {
      const li = element("li");
      li.append(line);
      if (fresh) li.classList.add("fresh");
      list.prepend(li);
    }
    if (fresh) this.pulse();
    while (list.childElementCount > this.limit) list.lastElementChild.remove();
    this.totals[request.kind]++;
    this.count();
  },

  line(request) {
    const line = element("div", "line");
    const path = element("span", "path");
    path.append(element("i", "", proxyPath), shortened(request.path.slice(proxyPath.length)));
    path.title = request.path;
    line.append(
      element("span", "method", request.method),
      path,
      element("span", `status s${Math.floor(request.status / 100)}`, String(request.status)),
      element("span", "ms", `${request.ms < 10 ? request.ms.toFixed(1) : Math.round(request.ms)} ms`),
    );
    if (request.kind !== "script") {
      line.append(element("span", "why", [request.meaning, request.site].filter(Boolean).join(" · ")));
    }
    return line;
  },

  // scripts is the group that a script's request goes into: a page loads a
  // dozen in a row, and they would crowd out what is worth a look.
  scripts(list) {
    let li = list.firstElementChild;
    if (!li?.classList.contains("scripts")) {
      li = element("li", "scripts");
      const details = element("details");
      const summary = element("summary");
      summary.append(element("b"));
      details.append(summary, element("ol"));
      li.append(details);
      list.prepend(li);
    }
    return {
      add(line) {
        const lines = li.querySelector("ol");
        const item = element("li");
        item.append(line);
        lines.prepend(item);
        const n = lines.childElementCount;
        li.querySelector("b").textContent = n === 1 ? "1 script of Clerk’s" : `${n} scripts of Clerk’s`;
      },
    };
  },

  count() {
    $("total-api").textContent = this.totals.api;
    $("total-script").textContent = this.totals.script;
    $("empty").hidden = this.totals.api + this.totals.script > 0;
  },

  pulse() {
    const route = $("route");
    if (route.classList.contains("passing")) return;
    route.classList.add("passing");
    setTimeout(() => route.classList.remove("passing"), 600);
  },
};

// shortened leaves of Clerk's long identifiers what tells them apart, so that
// there is room for what follows them.
function shortened(path) {
  return path.replace(/([a-z]+_[A-Za-z0-9]{4})[A-Za-z0-9]{20,}/g, "$1…");
}

// elsewhere counts requests of this page to any other origin, tried or made.
const elsewhere = {
  count: 0,
  add(url) {
    if (!/^(https?|wss?):/.test(url) || new URL(url).host === location.host) return;
    $("elsewhere").textContent = ++this.count;
    $("elsewhere-line").classList.add("leak");
  },
  watch() {
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => this.add(entry.name)))
      .observe({ type: "resource", buffered: true });
    document.addEventListener("securitypolicyviolation", (event) => this.add(event.blockedURI));
  },
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

$("sign-out")?.addEventListener("click", () => window.Clerk.signOut({ redirectUrl: "/" }));

// Without the token, the server must ask Clerk who this is. The session itself
// is not touched.
$("lose-token")?.addEventListener("click", () => {
  for (const name of document.cookie.match(/__session(_[\w-]+)?(?==)/g) ?? []) document.cookie = `${name}=; path=/; max-age=0`;
  location.reload();
});

$("call").addEventListener("click", async () => {
  const response = await fetch("/api/me");
  $("body").textContent = JSON.stringify(await response.json(), null, 2);
  $("body").hidden = false;
  $("answer").textContent = `${response.status} ${response.statusText}`;
  $("answer").className = response.ok ? "" : "refused";
});

// Browsers open six connections to an origin over HTTP/1.1. A tab that nobody
// looks at gives its own back.
document.addEventListener("visibilitychange", () => document.hidden ? traffic.close() : traffic.open());

elsewhere.watch();
if (!document.hidden) traffic.open();

try {
  const clerk = await window.clerkReady;
  clerk.addListener(showSession);
  showSession(clerk);
  setInterval(() => token.look(), 500);
} catch (error) {
  page.dataset.state = "failed";
  $("failure").textContent = error.message;
}
