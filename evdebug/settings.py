"""Django's settings, all from the environment (`env.py`)."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF

from apps.access import address, outbound
from evdebug import env

try:
    ENV = env.read()
    SECRET_KEY = env.secret_key(ENV)
except env.BadSetting as error:
    sys.stderr.write(f"{error}\n")
    raise

BASE_DIR = env.ROOT
DATA_DIR: Path = ENV["EVDEBUG_DATA"]
REDIS_URL: str = ENV["REDIS_URL"]

DEBUG: bool = ENV["EVDEBUG_DEBUG"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *ENV["EVDEBUG_ALLOWED_HOSTS"]]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "channels",
    "csp",
    "django_htmx",
    "apps.eventlog",
    "apps.access",
    "apps.ingest",
    "apps.traces",
    "apps.audits",
    "apps.live",
    "apps.projections",
    "apps.sandbox",
    "apps.pages",
    "evdebug",
]
MIDDLEWARE = [
    "evdebug.health.count_requests",
    "django.middleware.security.SecurityMiddleware",
    # Pages and static files alike. Sessions are SameSite and tokens masked, and the length of each
    # answer is blurred, so lengths tell a third party nothing (BREACH).
    "django.middleware.gzip.GZipMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.access.middleware.IdleLimit",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "apps.access.middleware.SignInFirst",  # last: see there
]
ROOT_URLCONF = "evdebug.urls"
ASGI_APPLICATION = "evdebug.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.pages.context_processors.shell",
            ],
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
        },
    }
]

DATABASES: dict[str, Any] = {"default": ENV["DATABASE_URL"] or env.sqlite(DATA_DIR / "log.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "access.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "/signin"
LOGIN_REDIRECT_URL = "/"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_HTTP_RESPONSE_CODE = 429
AXES_LOCKOUT_CALLABLE = "apps.access.views.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True  # the trail tells who signed in
AXES_VERBOSE = False

SESSION_COOKIE_AGE = ENV["EVDEBUG_SESSION_DAYS"] * 86400
SESSION_IDLE_S: int = ENV["EVDEBUG_IDLE_HOURS"] * 3600
SESSION_COOKIE_NAME = "evdebug_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = ENV["EVDEBUG_TLS"]
CSRF_FAILURE_VIEW = "apps.pages.views.errors.csrf_failure"
CSRF_COOKIE_NAME = "evdebug_csrf"
CSRF_COOKIE_SAMESITE = "Strict"
CSRF_COOKIE_SECURE = ENV["EVDEBUG_TLS"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV["EVDEBUG_TLS"] else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

CHANNEL_LAYERS: dict[str, Any] = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "evdebug"},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}
CELERY_BROKER_URL = REDIS_URL or "memory://localhost/"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {"global_keyprefix": "evdebug:"} if REDIS_URL else {"polling_interval": 0.02}
)
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = {
    "audits": {
        "task": "apps.audits.tasks.look_at_all",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "rules": {
        "task": "apps.pages.tasks.look_at_rules",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "snapshots": {
        "task": "apps.projections.tasks.keep_up",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 10},
    },
    "sweep": {"task": "apps.access.tasks.sweep", "schedule": timedelta(hours=1)},
    "sandboxes": {
        "task": "apps.sandbox.tasks.work",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 10},
    },
    "traces": {
        "task": "apps.traces.tasks.follow",
        "schedule": timedelta(seconds=2),
        "options": {"expires": 2},
    },
}

CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
CODE: tuple[str, ...] = ENV["EVDEBUG_CODE"]
CODE_UNCONFINED: bool = ENV["EVDEBUG_CODE_UNCONFINED"]
MAX_BODY: int = ENV["EVDEBUG_MAX_BODY"]
MAX_EVENT: int = ENV["EVDEBUG_MAX_EVENT"]
MAX_BATCH: int = ENV["EVDEBUG_MAX_BATCH"]
QUEUE_EVENTS: int = ENV["EVDEBUG_QUEUE_EVENTS"]
QUEUE_BYTES: int = ENV["EVDEBUG_QUEUE_BYTES"]
USER_SOCKETS: int = ENV["EVDEBUG_USER_SOCKETS"]
KEY_RATE: int = ENV["EVDEBUG_KEY_RATE"]
REACH = outbound.parse(
    ENV["EVDEBUG_REACH"],
    local=address.is_loopback(ENV["EVDEBUG_HOST"]) and not ENV["EVDEBUG_ALLOWED_HOSTS"],
)
FIND_WAIT_MS: int = ENV["EVDEBUG_FIND_WAIT_MS"]
SANDBOX_EVENTS: int = ENV["EVDEBUG_SANDBOX_EVENTS"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": ENV["EVDEBUG_LOG_LEVEL"]},
    "loggers": {
        "daphne": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "axes": {"level": "ERROR"},  # below that it names whatever was typed as a name
    },
}
