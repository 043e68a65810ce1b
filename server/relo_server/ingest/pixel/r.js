(function (w, d, n) {
  'use strict';
  var before = (w.relo && w.relo.q) || [];
  var url = new URL('/p', d.currentScript.src).href;
  var BITS = {analytics: 1, personalization: 2, ads: 4, dsp: 4, cross_client: 8, email: 16, push: 32, extended_retention: 64};
  var client = null, device = '', proof = '', waiting = false, asking = false, pause = 1000;
  var timer = 0, wait = 1000, until = 0, most = 50, sending = false, memory = [], held = {};

  function id() {
    var letters = '0123456789ABCDEFGHJKMNPQRSTVWXYZ', found = '', i, time = Date.now();
    for (i = 0; i < 10; i++) { found = letters[time % 32] + found; time = Math.floor(time / 32); }
    var random = w.crypto.getRandomValues(new Uint8Array(16));
    for (i = 0; i < 16; i++) found += letters[random[i] & 31];
    return found;
  }
  function warn(text) { if (w.console) w.console.warn('relo: ' + text); }
  // No half of a character is left at the end.
  function cut(text) { return text.slice(0, 200).replace(/[\ud800-\udbff]$/, ''); }
  // The service refuses half a character: JSON has it as an escape of its own.
  function json(value) {
    return JSON.stringify(value).replace(/\\\\|\\ud[89a-f]../g, function (found) {
      return found === '\\\\' ? found : '\ufffd';
    });
  }
  function cookie(name) {
    var found = ('; ' + d.cookie).split('; ' + name + '=')[1];
    return found ? decodeURIComponent(found.split(';')[0]) : '';
  }
  // What cannot be written is held by the page, or an older one would be read in its place.
  function keep(name, value) {
    var text = JSON.stringify(value);
    try { w.localStorage.setItem('_relo_' + name, text); delete held[name]; } catch (e) { held[name] = text; }
  }
  function kept(name, otherwise) {
    try {
      var found = JSON.parse(name in held ? held[name] : w.localStorage.getItem('_relo_' + name));
      return found === null ? otherwise : found;
    } catch (e) { return otherwise; }
  }
  // What waits is in localStorage, so that it outlives the page; each event has an id, so that
  // sending it twice counts once. Where too much waits, consent stays.
  function queue() { return kept('queue', memory); }
  function store(events) {
    var over = events.length - 500;
    memory = events.filter(function (one) { return one.t === 'consent' || over-- <= 0; });
    keep('queue', memory);
  }

  function save() {
    [['id', device], ['proof', proof]].forEach(function (one) {
      d.cookie = '_relo_' + one[0] + '=' + one[1] + '; path=/; samesite=lax; max-age=' + (one[1] ? 34560000 : 0) +
        (location.protocol === 'https:' ? '; secure' : '');
      keep(one[0], one[1]);
    });
  }
  // What another tab was told holds here too; an id never goes with the proof of another.
  function look() {
    var found = cookie('_relo_id') || kept('id', '');
    if (found && found !== device) { device = found; proof = ''; }
    if (device) proof = proof || cookie('_relo_proof') || (kept('id', '') === device ? kept('proof', '') : '');
    return device;
  }
  function known() {
    if (look()) save(); else ask();
    return device;
  }
  function granting() { return queue().some(function (one) { return one.grant; }); }
  // The service makes a visitor's id, with a proof that this browser was told it: only that can
  // grant consent. Without an answer the page makes one, which can only withdraw, and which holds
  // until something is granted: then the service is asked again.
  function ask() {
    if (asking) return;
    asking = true;
    w.fetch(url + '/device', {method: 'POST', body: JSON.stringify({c: client}), credentials: 'omit'}).then(function (answer) {
      if (!answer.ok) throw new Error('later');
      return answer.json();
    }).then(function (made) {
      asking = false;
      if (!look() || (!proof && granting())) become(made.d, made.s);
    }).catch(function () {
      device = look() || id();
      w.setTimeout(function () { asking = false; flush(); }, pause);
      pause = Math.min(pause * 2, 60000);
    }).then(function () {
      save();
      soon(0);
    });
  }
  // What was withdrawn under an earlier id is withdrawn of this one too, before anything else.
  function become(made, told) {
    var old = device, off = refused();
    device = made; proof = told;
    if (!old) return;
    keep('was', old);
    var events = queue();
    events.forEach(function (one) { if (one.clear) one.of = one.of || old; });
    if (off) events.unshift(said('clear', off));
    store(events);
  }
  // What a visit brought is kept until another brings something, at most 90 days.
  function landed() {
    var query = new URLSearchParams(location.search), found = {}, last = kept('from', {});
    ['gclid', 'ttclid', 'relo_cid', 'utm_source', 'utm_medium', 'utm_campaign'].forEach(function (name) {
      if (query.get(name)) found[name] = cut(query.get(name));
    });
    if (Object.keys(found).length) keep('from', {at: Date.now(), found: found});
    else if (Date.now() - last.at < 90 * 86400000) found = last.found;
    if (cookie('_fbp')) found.fbp = cookie('_fbp');
    if (cookie('_fbc')) found.fbc = cookie('_fbc');
    return found;
  }
  function refused() { return kept('refused', 0); }

  function event(type, props) {
    if (refused() & BITS.analytics) return;
    var all = landed(), given = props || {};
    Object.keys(given).forEach(function (name) { all[name] = given[name]; });
    add({t: type, ts: Date.now(), eid: id(), props: all});
  }
  function page(props) {
    var about = {url: location.host + location.pathname, title: cut(d.title)};
    if (d.referrer) { var r = new URL(d.referrer); about.referrer = r.host + r.pathname; }
    Object.keys(props || {}).forEach(function (name) { about[name] = props[name]; });
    event('page', about);
  }
  function said(what, bits) {
    var one = {t: 'consent', ts: Date.now(), eid: id()};
    one[what] = bits;
    return one;
  }
  function consent(answers) {
    var clear = 0, grant = 0, was = kept('was', '');
    Object.keys(BITS).forEach(function (name) {
      if (answers[name] === false) clear |= BITS[name];
      if (answers[name] === true) grant |= BITS[name];
    });
    grant &= ~clear;
    keep('refused', (refused() | clear) & ~grant);
    // What was said last holds: what waits says nothing else of the same after it.
    store(queue().filter(function (one) {
      if (one.t !== 'consent') return !(clear & BITS.analytics);
      var what = one.clear ? 'clear' : 'grant';
      return one[what] &= ~(clear | grant);
    }));
    // A grant may have to wait, and a withdrawal does not wait for it.
    if (clear) add(said('clear', clear));
    if (clear && was) { var old = said('clear', clear); old.of = was; add(old); }
    if (grant) add(said('grant', grant));
    if ((clear | grant) & BITS.analytics) { keep('answered', true); waiting = false; soon(0); }
  }
  function add(one) {
    try { JSON.stringify(one); } catch (e) { warn('cannot send ' + one.t + ': ' + e.message); return; }
    var events = queue();
    events.push(one);
    store(events);
    soon(events.length >= 20 ? 0 : 300);
  }
  function soon(after) {
    w.clearTimeout(timer);
    timer = w.setTimeout(flush, Math.max(after, until - Date.now()));
  }
  // What goes together is of one id, and no more than browsers carry while a page closes. A grant
  // waits for the proof.
  function batch() {
    var found = [], size = 0;
    queue().some(function (one) {
      if (one.grant && !proof) return false;
      size += new Blob([json(one)]).size + 1;
      if (found.length && (found.length >= most || size > 60000 || one.of !== found[0].of)) return true;
      found.push(one);
    });
    return found;
  }
  // Two records of consent in one request would be of one instant: they are one, with the id of
  // the last, so that a later try that says more is no copy. No two say something of the same.
  function packed(events) {
    var of = events[0].of, said = {};
    var sent = events.filter(function (one) {
      if (one.t !== 'consent') return true;
      said = Object.assign({}, one, {
        clear: said.clear | one.clear || undefined, grant: said.grant | one.grant || undefined, of: undefined
      });
    });
    if (said.t) sent.push(said);
    return json({c: client, d: of || device, e: sent, s: of ? '' : proof});
  }
  function done(events) {
    var ids = events.map(function (one) { return one.eid; });
    store(queue().filter(function (one) { return ids.indexOf(one.eid) < 0; }));
  }
  function flush(closing) {
    closing = closing === true;
    if (client === null || waiting || (sending && !closing) || !queue().length || !known()) return;
    if (!proof && granting()) ask();
    var events = batch();
    if (!events.length) return;
    sending = true;
    w.fetch(url, {method: 'POST', body: packed(events), keepalive: closing, credentials: 'omit'}).then(function (answer) {
      var status = answer.status;
      if (status >= 500 || status === 429) {
        until = Date.now() + Math.min(answer.headers.get('Retry-After') * 1000 || 0, 300000);
        throw new Error('later');
      }
      if (events.length > 1 && (status === 400 || status === 413 || status === 422)) {
        // One that is refused takes no other with it: it is found by halves.
        most = Math.ceil(events.length / 2);
      } else {
        if (!answer.ok) warn(status + ' from ' + url);
        done(events);
        most = Math.min(most * 2, 50);
      }
      sending = false; wait = 1000;
      if (queue().length) soon(0);
    }).catch(function () {
      sending = false;
      soon(wait);
      wait = Math.min(wait * 2, 60000);
    });
  }
  function leaving() {
    if (client === null || waiting || !queue().length) return;
    known();
    var events = batch();
    if (!events.length) return;
    if (!device) { device = id(); save(); }
    // It stays queued: the next page sends it again, and it counts once.
    if (!(n.sendBeacon && n.sendBeacon(url, packed(events)))) flush(true);
  }
  function relo(what, a, b) {
    if (what === 'init') {
      client = a.client_id;
      waiting = a.consent === 'wait' && !kept('answered', false);
      if (!waiting) known();
      if (n.globalPrivacyControl && !(refused() & BITS.ads)) consent({ads: false});
      soon(0);
    } else if (what === 'page') page(a);
    else if (what === 'event') event(a, b);
    else if (what === 'consent') consent(a);
    else warn('there is no ' + what);
  }
  w.relo = function () { relo.apply(null, arguments); };
  w.addEventListener('online', function () { wait = 1000; until = 0; soon(0); });
  w.addEventListener('pagehide', leaving);
  d.addEventListener('visibilitychange', function () { if (d.visibilityState === 'hidden') leaving(); });
  before.forEach(function (call) { relo.apply(null, call); });
})(window, document, navigator);
