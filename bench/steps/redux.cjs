// Toggles an early action of a history lifted by @redux-devtools/instrument: node redux.cjs EVENTS ENTITIES
const { createStore, compose } = require("redux");
const { instrument, ActionCreators } = require("@redux-devtools/instrument");
const count = Number(process.argv[2]), entities = Number(process.argv[3]);
const merge = (s = {}, a) => a.type !== "Set" ? s : { ...s, [a.stream]: { ...s[a.stream], ...a.data } };
const store = createStore(merge, undefined, instrument(undefined, { maxAge: count + 10 }));
for (let n = 0; n < count; n++) store.dispatch({ type: "Set", stream: `e-${n % entities}`, data: { n, [`f${n % 7}`]: n } });
const times = [];
for (let i = 0; i < 2; i++) {
  const begun = process.hrtime.bigint();
  store.liftedStore.dispatch(ActionCreators.toggleAction(4));
  const s = store.getState();
  times.push(Number(process.hrtime.bigint() - begun) / 1e9);
}
console.log(JSON.stringify({ seconds: times, state: store.getState()["e-3"] }));
