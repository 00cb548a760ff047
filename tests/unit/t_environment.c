#include "svc/environment.h"

#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "tests/unit/tap.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const char *const base[] = { "PATH=/bin",
                                    "PINNACE_TOKEN=s",
                                    "NOTIFY_SOCKET=/n",
                                    "WATCHDOG_USEC=1",
                                    "WATCHDOG_PID=1",
                                    "LISTEN_FDS=2",
                                    "LISTEN_PID=1",
                                    "LISTEN_FDNAMES=a",
                                    "DOCKER_HOST=tcp://x",
                                    "PINNACE_LOG=x",
                                    "A=1",
                                    "AB=2",
                                    "PINNACE_TOKENS=",
                                    "LISTEN_ADDRESS=:8",
                                    "PINNACE_CHANNEL_A_B_TOKEN=secret",
                                    "PINNACE_CHANNEL_TOKEN=secret",
                                    NULL };
static bool listens;

/* The variables, joined by blanks. */
static const char *made(enum svc_kind kind, const char *const *add, const char *notify) {
    static char buf[512];
    struct text t = TEXT(buf);
    struct err e = { 0 };
    AUTO_FREE const char **env = NULL;
    struct env_request r = {
        .base = base, .add = add, .notify_path = notify, .kind = kind, .listen_taken = listens
    };
    buf[0] = '\0';
    if (environment_make(&r, &env, &e) < 0)
        return "failed";
    for (size_t i = 0; env[i]; i++)
        text_add(&t, "%s%s", i ? " " : "", env[i]);
    return buf;
}

static void is(const char *got, const char *want, const char *what) {
    OK(strcmp(got, want) == 0, "%s: %s", what, got);
}

int main(void) {
    is(made(SVC_KIND_SERVICE, NULL, NULL),
       "PATH=/bin DOCKER_HOST=tcp://x PINNACE_LOG=x A=1 AB=2 PINNACE_TOKENS= LISTEN_ADDRESS=:8",
       "a service: without secrets and what is pinnace's own");
    is(made(SVC_KIND_SERVICE, LIST("A", "NONE", "AB=3", "PINNACE_TOKENS", "C="), NULL),
       "PATH=/bin DOCKER_HOST=tcp://x PINNACE_LOG=x AB=3 LISTEN_ADDRESS=:8 C=",
       "a mere name removes a variable");
    is(made(SVC_KIND_MAIN, NULL, NULL),
       "PATH=/bin LISTEN_FDS=2 LISTEN_PID=1 LISTEN_FDNAMES=a DOCKER_HOST=tcp://x PINNACE_LOG=x A=1 "
       "AB=2 PINNACE_TOKENS= LISTEN_ADDRESS=:8",
       "CMD inherits the sockets");
    is(made(SVC_KIND_ENGINE, NULL, NULL),
       "PATH=/bin PINNACE_LOG=x A=1 AB=2 PINNACE_TOKENS= LISTEN_ADDRESS=:8 container=docker "
       "TINI_SUBREAPER=1",
       "the engine");
    is(made(SVC_KIND_ENGINE, LIST("DOCKER_HOST=unix:/y", "TINI_SUBREAPER=0"), NULL),
       "PATH=/bin PINNACE_LOG=x A=1 AB=2 PINNACE_TOKENS= LISTEN_ADDRESS=:8 container=docker "
       "TINI_SUBREAPER=0 DOCKER_HOST=unix:/y",
       "what is added wins, even what is left out otherwise");
    is(made(SVC_KIND_SERVICE, LIST("A=9", "P=1", "ABC=3", "ABC=4", "PATH="), NULL),
       "PATH= DOCKER_HOST=tcp://x PINNACE_LOG=x A=9 AB=2 PINNACE_TOKENS= LISTEN_ADDRESS=:8 P=1 "
       "ABC=4",
       "added over those of the same whole name, in place; the last one counts");
    is(made(SVC_KIND_SERVICE, LIST("NOTIFY_SOCKET=/mine"), "/run/n"),
       "PATH=/bin DOCKER_HOST=tcp://x PINNACE_LOG=x A=1 AB=2 PINNACE_TOKENS= LISTEN_ADDRESS=:8 "
       "NOTIFY_SOCKET=/run/n",
       "its notify socket wins");
    listens = true;
    is(made(SVC_KIND_MAIN, NULL, NULL),
       "PATH=/bin DOCKER_HOST=tcp://x PINNACE_LOG=x A=1 AB=2 PINNACE_TOKENS= LISTEN_ADDRESS=:8",
       "CMD, when the sockets are pinnace's");
    is(made(SVC_KIND_SERVICE,
            LIST("PINNACE_CHANNEL_A_TOKEN_FILE=/f", "PINNACE_CHANNEL_A_TOKEN=of its own"), NULL),
       "PATH=/bin DOCKER_HOST=tcp://x PINNACE_LOG=x A=1 AB=2 PINNACE_TOKENS= LISTEN_ADDRESS=:8 "
       "PINNACE_CHANNEL_A_TOKEN_FILE=/f PINNACE_CHANNEL_A_TOKEN=of its own",
       "a token that is added");
    const char *env[] = { "PINNACE_TOKEN=s",
                          "A=1",
                          "PINNACE_CHANNEL_A_TOKEN=s",
                          "PINNACE_CHANNEL__TOKEN=",
                          "PINNACE_CHANNEL_A_TOKEN_FILE=/f",
                          "TOKEN=x",
                          NULL };
    environment_drop_secrets((char **)env);
    OK(strcmp(env[0], "A=1") == 0 && strcmp(env[1], "PINNACE_CHANNEL_A_TOKEN_FILE=/f") == 0 &&
           strcmp(env[2], "TOKEN=x") == 0 && !env[3],
       "secrets are taken out, all and only these");
    return tap_end();
}
