from __future__ import annotations

from django.urls import path

from apps.pages.views import account, data, events, exporting, home, kept, states, traces, transport

app_name = "pages"
urlpatterns = [
    path("", home.home, name="home"),
    path("welcome", home.welcome, name="welcome"),
    path("welcome/key", home.first_key, name="first_key"),
    path("welcome/tour", home.restart, name="restart_tour"),
    path("keyboard", home.keyboard, name="keyboard"),
    path("account", account.account, name="account"),
    path("account/password", account.password, name="password"),
    path("account/preferences", account.preferences, name="preferences"),
    path("account/<slug:system>/keys", account.keys, name="keys"),
    path("account/<slug:system>/keys/<int:number>", account.key, name="key"),
    path("account/<slug:system>/members", account.members, name="members"),
    path("<slug:system>/events", events.events, name="events"),
    path("<slug:system>/events/results", events.results, name="results"),
    path("<slug:system>/events/rows", events.more, name="rows"),
    path("<slug:system>/events/counts", events.counts, name="counts"),
    path("<slug:system>/events/suggest", events.suggestions, name="suggest"),
    path("<slug:system>/events/drawer", events.drawer, name="drawer"),
    path("<slug:system>/events/export", exporting.export, name="export"),
    path("<slug:system>/events/saved", kept.saved, name="saved"),
    path("<slug:system>/events/saved/<int:number>", kept.saved_query, name="saved_query"),
    path("<slug:system>/events/<int:position>/part", data.part, name="part"),
    path("<slug:system>/events/<int:position>/raw", data.raw, name="raw"),
    path("<slug:system>/events/<int:position>/hex", data.hexadecimal, name="hex"),
    path("<slug:system>/events/<int:position>/copy/<slug:form>", data.copy, name="copy"),
    path("<slug:system>/events/<int:position>/download", data.download, name="download"),
    path("<slug:system>/traces", traces.traces, name="traces"),
    path("<slug:system>/traces/<str:which>", traces.trace, name="trace"),
    path("<slug:system>/traces/<str:which>/<slug:form>", traces.export, name="trace_export"),
    path("<slug:system>/state", states.states, name="states"),
    path("<slug:system>/state/<path:stream>", states.state, name="state"),
    path("<slug:system>/states/entity", states.entity_part, name="state_entity"),
    path("<slug:system>/states/entities", states.entities_part, name="state_entities"),
    path("<slug:system>/states/watches", states.watches_part, name="state_watches"),
    path("<slug:system>/states/watch", states.watch, name="state_watch"),
    path("<slug:system>/states/find", states.find, name="state_find"),
    path("<slug:system>/bookmarks", kept.bookmarks, name="bookmarks"),
    path("<slug:system>/bookmarks/<int:number>", kept.bookmark, name="bookmark"),
    path("<slug:system>/dock", transport.timeline, name="dock"),
    path("<slug:system>/moment", transport.moment, name="moment"),
]
