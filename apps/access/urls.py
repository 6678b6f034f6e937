from __future__ import annotations

from django.urls import path

from apps.access import views

app_name = "access"
urlpatterns = [
    path("signin", views.signin, name="signin"),
    path("signin/<str:token>", views.signin_link, name="signin_link"),
    path("signout", views.signout, name="signout"),
]
