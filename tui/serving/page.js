// Keys go to the playground as soon as it is on the page, without a click.
window.addEventListener("load", () => {
  const focus = () => {
    if (document.body.classList.contains("-first-byte")) {
      observer.disconnect();
      document.querySelector(".xterm-helper-textarea").focus();
    }
  };
  const observer = new MutationObserver(focus);
  observer.observe(document.body, { attributes: true, attributeFilter: ["class"] });
});
