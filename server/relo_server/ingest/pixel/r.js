(function (w, d, n) {
  'use strict';
  var before = (w.relo && w.relo.q) || [];
  var url = new URL('/p', d.currentScript.src).href;
  var asking = false, proof = '';
  var BITS = {analytics: 1, personalization: 2, ads: 4, dsp: 4, cross_client: 8, email: 16, push: 32, extended_retention: 64};
  var client = null, device = null, waiting = false, timer = 0, wait = 1000, sending = false, memory = [];

  function id() {
    var letters = '0123456789ABCDEFGHJKMNPQRSTVWXYZ', found = '', i, time = Date.now();
    for (i = 0; i < 10; i++) { found = letters[time % 32] + found; time = Math.floor(time / 32); }
    var random = w.crypto.getRandomValues(new Uint8Array(16));
    for (i = 0; i < 16; i++) found += letters[random[i] & 31];
    return found;
  }
  function cookie(name) {
    var found = ('; ' + d.cookie).split('; ' + name + '=')[1];
    return found ? decodeURIComponent(found.split(';')[0]) : '';
  }
  function keep(name, value) {
    try { w.localStorage.setItem('_relo_' + name, JSON.stringify(value)); return true; } catch (e) { return false; }
  }
  function kept(name, otherwise) {
    try { return JSON.parse(w.localStorage.getItem('_relo_' + name)) || otherwise; } catch (e) { return otherwise; }
  }
  // What waits is in localStorage, so that it outlives the page; each event has an id, so that
  // sending it twice counts once.
  function queue() { return kept('queue', memory); }
  function store(events) { memory = events.slice(-500); keep('queue', memory); }

  function save() {
    [['id', device], ['proof', proof]].forEach(function (one) {
      if (!one[1]) return;
      d.cookie = '_relo_' + one[0] + '=' + one[1] + '; path=/; max-age=34560000; samesite=lax' +
        (location.protocol === 'https:' ? '; secure' : '');
      keep(one[0], one[1]);
    });
  }
  // The service makes a new visitor's id, with a proof that this browser was told it: only that can
  // grant consent. Without a network the page makes one, which can only withdraw.
  function known() {
    device = device || cookie('_relo_id') || kept('id', '');
    proof = proof || cookie('_relo_proof') || kept('proof', '');
    if (device) { save(); return true; }
    if (asking) return false;
    asking = true;
    w.fetch(url + '/device', {method: 'POST', body: JSON.stringify({c: client}), credentials: 'omit'}).then(function (answer) {
      if (!answer.ok) throw new Error('later');
      return answer.json();
    }).then(function (made) {
      if (!device) { device = made.d; proof = made.s; }
    }).catch(function () { device = device || id(); }).then(function () {
      asking = false;
      save();
      soon(0);
    });
    return false;
  }
  function landed() {
    var query = new URLSearchParams(location.search), found = kept('from', {});
    ['gclid', 'ttclid', 'relo_cid', 'utm_source', 'utm_medium', 'utm_campaign'].forEach(function (name) {
      if (query.get(name)) found[name] = query.get(name).slice(0, 200);
    });
    keep('from', found);
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
    var about = {url: location.host + location.pathname, title: d.title.slice(0, 200)};
    if (d.referrer) { var r = new URL(d.referrer); about.referrer = r.host + r.pathname; }
    Object.keys(props || {}).forEach(function (name) { about[name] = props[name]; });
    event('page', about);
  }
  function consent(said) {
    var clear = 0, grant = 0, off = refused();
    Object.keys(BITS).forEach(function (name) {
      if (said[name] === false) { clear |= BITS[name]; off |= BITS[name]; }
      if (said[name] === true) { grant |= BITS[name]; off &= ~BITS[name]; }
    });
    keep('refused', off);
    if (said.analytics === false) store([]);
    var one = {t: 'consent', ts: Date.now(), eid: id()};
    if (clear) one.clear = clear;
    if (grant) one.grant = grant;
    if (clear || grant) add(one);
    if (said.analytics !== undefined) { waiting = false; soon(0); }
  }
  function add(one) {
    var events = queue();
    events.push(one);
    store(events);
    soon(events.length >= 20 ? 0 : 300);
  }
  function soon(after) {
    w.clearTimeout(timer);
    timer = w.setTimeout(flush, after);
  }
  function packed(events) {
    var sent = events.filter(function (one) {
      if (!proof) delete one.grant;
      return one.t !== 'consent' || one.clear || one.grant;
    });
    return JSON.stringify({c: client, d: device, e: sent, s: proof});
  }
  function done(events) {
    var ids = events.map(function (one) { return one.eid; });
    store(queue().filter(function (one) { return ids.indexOf(one.eid) < 0; }));
  }
  function flush() {
    var events = queue().slice(0, 50);
    if (client === null || waiting || sending || !events.length || !known()) return;
    sending = true;
    w.fetch(url, {method: 'POST', body: packed(events), keepalive: true, credentials: 'omit'}).then(function (answer) {
      if (answer.status >= 500 || answer.status === 429) throw new Error('later');
      if (!answer.ok && w.console) w.console.warn('relo: ' + answer.status + ' from ' + url);
      done(events);
      sending = false; wait = 1000;
      if (queue().length) soon(0);
    }).catch(function () {
      sending = false;
      soon(wait);
      wait = Math.min(wait * 2, 60000);
    });
  }
  function leaving() {
    var events = queue().slice(0, 50);
    // It stays queued: the next page sends it again, and it counts once.
    if (client !== null && !waiting && events.length) {
      if (!known()) { device = id(); save(); }
      if (!(n.sendBeacon && n.sendBeacon(url, packed(events)))) flush();
    }
  }
  function relo(what, a, b) {
    if (what === 'init') {
      client = a.client_id;
      waiting = a.consent === 'wait' && kept('refused', null) === null;
      if (!waiting) known();
      if (n.globalPrivacyControl && !(refused() & BITS.ads)) consent({ads: false});
      soon(0);
    } else if (what === 'page') page(a);
    else if (what === 'event') event(a, b);
    else if (what === 'consent') consent(a);
    else if (w.console) w.console.warn('relo: there is no ' + what);
  }
  w.relo = function () { relo.apply(null, arguments); };
  w.addEventListener('online', function () { wait = 1000; soon(0); });
  w.addEventListener('pagehide', leaving);
  d.addEventListener('visibilitychange', function () { if (d.visibilityState === 'hidden') leaving(); });
  before.forEach(function (call) { relo.apply(null, call); });
})(window, document, navigator);
