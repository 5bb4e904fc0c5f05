"""How the product page looks."""

STYLE = """
:root{--ink:#1d2430;--soft:#5b6675;--line:#e3e6ea;--paper:#fbfaf7;--card:#fff;--accent:#0b5c6b;--red:#c0392b}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaee;--soft:#9aa4b2;--line:#2c3440;--paper:#12161c;--card:#1a2028;
--accent:#6cc5d4;--red:#ff7b6b}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.6 Georgia,"Times New Roman",serif}
header{display:flex;justify-content:space-between;align-items:center;padding:.8rem 1.5rem;border-bottom:1px solid var(--line);
font-family:system-ui,sans-serif;font-size:.9rem}
.brand{font-weight:600;letter-spacing:.04em;color:var(--ink);text-decoration:none}
nav form{display:flex;gap:.5rem}nav input{padding:.3rem .6rem;border:1px solid var(--line);border-radius:6px;
background:var(--card);color:var(--ink);font:inherit;width:9rem}
nav button{padding:.3rem .8rem;border:0;border-radius:6px;background:var(--accent);color:var(--paper);font:inherit;cursor:pointer}
nav a{color:var(--accent)}.user{font-weight:600;margin-right:.6rem}
main{max-width:56rem;margin:2.5rem auto;padding:0 1.5rem;display:grid;gap:1.5rem}
.book{display:flex;gap:2rem;align-items:center}.book svg{flex:0 0 7rem;border-radius:4px;box-shadow:0 6px 18px #0003}
h1{font-size:2.1rem;line-height:1.15;margin:0 0 .6rem}h2{font-size:1.1rem;margin:0 0 .8rem}.lead{color:var(--soft);margin:0}
section:not(.book){background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1.3rem 1.6rem}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:.8rem 1.5rem;margin:0}
dt{color:var(--soft);font:.78rem system-ui,sans-serif}dd{margin:0}
figure{margin:0 0 1.3rem}blockquote{margin:0;font-style:italic}figcaption{color:var(--soft);font:.85rem system-ui,sans-serif}
.stars{margin:.2rem 0;font-size:1.2rem;letter-spacing:.12em}.stars.red{color:var(--red)}.stars.black{color:var(--ink)}
.note{margin:.2rem 0;color:var(--soft);font:.85rem system-ui,sans-serif}
.served{margin:0;padding-top:.8rem;border-top:1px solid var(--line);color:var(--soft);font:.85rem system-ui,sans-serif}
.error{border-color:var(--red)!important}.error h2{color:var(--red)}.error p{margin:0}
"""

SIGN_IN = (
    '<form method="post" action="/login"><input name="username" placeholder="Your name" aria-label="Your name" '
    'autocomplete="username" required><button>Sign in</button></form>'
)

COVER = (
    '<svg viewBox="0 0 70 100" width="112" height="160" role="img" aria-label="Cover"><rect width="70" height="100" '
    'fill="#0b5c6b"/><g fill="none" stroke="#f3e9d2" stroke-width=".7"><circle cx="35" cy="42" r="18"/>'
    '<path d="M35 18v48M11 42h48M18 25l34 34M52 25 18 59"/></g><circle cx="35" cy="42" r="2" fill="#f3e9d2"/>'
    '<path d="M12 78h46M20 84h30" stroke="#f3e9d2" stroke-width="1.6"/></svg>'
)
