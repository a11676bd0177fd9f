(function (options) {
  if (window.clerkReady) return;
  var nonce = document.currentScript.nonce;
  if (nonce) options.nonce = nonce;

  function loaded(attribute) {
    return new Promise(function (resolve, reject) {
      function settle(event) {
        var script = event.target;
        if (!script.hasAttribute || !script.hasAttribute(attribute)) return;
        document.removeEventListener("load", settle, true);
        document.removeEventListener("error", settle, true);
        if (event.type === "load") resolve();
        else reject(new Error("Clerk could not be loaded from " + script.src));
      }
      document.addEventListener("load", settle, true);
      document.addEventListener("error", settle, true);
    });
  }

  window.clerkReady = Promise.all([loaded("data-clerk-js-script"), loaded("data-clerk-ui-script")])
    .then(function () {
      options.ui = { ClerkUI: window.__internal_ClerkUICtor };
      return window.Clerk.load(options);
    })
    .then(function () { return window.Clerk; });
})
