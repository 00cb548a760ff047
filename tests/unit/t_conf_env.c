#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "conf/conf.h"
#include "tests/unit/tap.h"

#define ENV(...) ((char *const *)(const char *const[]){ __VA_ARGS__, NULL })

static struct err err;

static int load(struct conf *c, const char *text, char *const *env) {
    int rc = conf_begin(c, &err);
    rc = rc < 0 ? rc : conf_add_text(c, "a.ini", text, &err);
    rc = rc < 0 ? rc : conf_add_env(c, env, &err);
    rc = rc < 0 ? rc : conf_finish(c, &err);
    if (rc < 0)
        conf_free(c);
    return rc;
}

static void overrides_sections(void) {
    struct conf c;
    OK(load(&c, "[pinnace]\nlog = text\n[main]\nuser = a\ncwd = /f\n",
            ENV("PATH=/bin", "PINNACE_LOG=json", "PINNACE_MAIN_USER=b",
                "PINNACE_PINNACE_LOG_LEVEL=debug", "PINNACE_ENGINE_STOP_TIMEOUT=3s",
                "PINNACE_BOOT_TIMEOUT=never", "PINNACE_MAIN_COMMAND=x 'y=z'",
                "PINNACE_ON_BOOT_TIMEOUT=stay")) == 0,
       "variables: %s", err.text);
    OK(c.pinnace.log == LOG_JSON && c.pinnace.log_level == LOG_DEBUG &&
           span_is_never(c.pinnace.boot_timeout) && c.pinnace.on_boot_timeout == BOOT_TIMEOUT_STAY,
       "[pinnace], with and without its name");
    OK(strcmp(c.main.user, "b") == 0 && strcmp(c.main.cwd, "/f") == 0, "only what is named");
    OK(strcmp(c.main.command[1], "y=z") == 0, "a value may hold =");
    OK(c.engine.stop_timeout.ns == span_s(3).ns, "[engine]");
    conf_free(&c);
}

static void ignores_what_is_not_meant(void) {
    struct conf c;
    OK(load(&c, "",
            ENV("PINNACE_CONFIG=/x", "PINNACE_HOST=unix:/x", "PINNACE_TOKEN=t", "PINNACE_LOG",
                "PINNACEX=1", "XPINNACE_LOG=bogus", "pinnace_log=bogus", "PINNACE_=1", "PINNACE=1",
                "=x", "", "PINNACE_SERVICE_HOST=10.0.0.1", "PINNACE_SERVICE_PORT=80",
                "PINNACE_PORT=tcp://10.0.0.1:80", "PINNACE_PORT_80_TCP_ADDR=10.0.0.1",
                "PINNACE_SERVICE_=x", "PINNACE_SERVICE_COMMAND=x", "PINNACE_MAIN_=x",
                "PINNACE_MAIN=x", "PINNACE_XMAIN_USER=x", "PINNACE_MAIN_XUSER=x")) == 0,
       "service links and other people's variables do no harm: %s", err.text);
    OK(c.nservices == 0 && !c.main.user && c.pinnace.log == LOG_TEXT, "and change nothing");
    conf_free(&c);
}

/* A name too long for any option must not be taken for what an earlier one left behind. */
static void bounds_names(void) {
    char longer[300];
    for (size_t n = 126; n <= 130; n++) {
        struct conf c;
        memset(longer, 'A', sizeof longer);
        memcpy(longer, "PINNACE_", 8);
        memcpy(longer + n, "=text", 6);
        OK(load(&c, "", ENV("PINNACE_LOG=json", longer)) == 0 && c.pinnace.log == LOG_JSON,
           "a name of %zu bytes is ignored: %s", n, err.text);
        conf_free(&c);
    }
}

static void refuses_bad_values(void) {
    static const struct {
        const char *var, *message;
    } rows[] = {
        { "PINNACE_LOG=jsn", "environment: PINNACE_LOG: pinnace.log: 'jsn' is not one of text | "
                             "json (did you mean json?)" },
        { "PINNACE_MAIN_START=x",
          "environment: PINNACE_MAIN_START: main.start: 'x' is not one of ready | now" },
        { "PINNACE_SERVICE_A_RESTART=x",
          "environment: PINNACE_SERVICE_A_RESTART: a.restart: 'x' is not one of always | "
          "on-failure | never" },
        { "PINNACE_SERVICE_MAIN_COMMAND=x",
          "environment: PINNACE_SERVICE_MAIN_COMMAND: service name 'main' is taken: use the "
          "section [main]" },
        { "PINNACE_SERVICE___COMMAND=x",
          "environment: PINNACE_SERVICE___COMMAND: service name '-' may hold letters, digits and, "
          "not first, - _ ." },
        { "PINNACE_SERVICE_A_USER=x",
          "environment: [service a] needs a command: write command = PROGRAM ARGUMENTS" },
    };
    struct conf c;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char var[64];
        (void)snprintf(var, sizeof var, "%s", rows[i].var);
        int rc = load(&c, "", ENV(var));
        OK(rc < 0 && strcmp(err.text, rows[i].message) == 0, "says: %s", err.text);
        if (rc == 0)
            conf_free(&c);
    }
    OK(load(&c, "", ENV("PINNACE_LOG=json", "PINNACE_PINNACE_LOG=text")) == -EEXIST &&
           strcmp(err.text, "environment: PINNACE_PINNACE_LOG: pinnace.log: given twice") == 0,
       "two names of one option: %s", err.text);
}

static void makes_and_finds_services(void) {
    struct conf c;
    OK(load(&c, "[service my-db.1]\ncommand = x\nuser = f\n",
            ENV("PINNACE_SERVICE_MY_DB_1_USER=e", "PINNACE_SERVICE_MY_DB_1_READY_EVERY=1s",
                "PINNACE_SERVICE_WEB_APP_COMMAND=w -p 1", "PINNACE_SERVICE_WEB_APP_LOG=none",
                "PINNACE_SERVICE_WEB_APP_ALIVE_EVERY=7s")) == 0,
       "services: %s", err.text);
    OK(c.nservices == 2 && strcmp(c.services[0]->user, "e") == 0 &&
           c.services[0]->ready_every.ns == span_s(1).ns && !c.services[0]->ready,
       "a known one is found by its variable name; the longest key counts");
    OK(strcmp(c.services[1]->name, "web-app") == 0 && strcmp(c.services[1]->command[2], "1") == 0 &&
           c.services[1]->log == LOG_TO_NOTHING && c.services[1]->alive_every.ns == span_s(7).ns,
       "a new one is made: %s", c.services[1]->name);
    conf_free(&c);
    OK(load(&c, "", ENV("PINNACE_SERVICE_A23456789012345678901234567890B_COMMAND=x")) == 0 &&
           c.nservices == 1 && strlen(c.services[0]->name) == MAX_NAME - 1,
       "a name of %d bytes", MAX_NAME - 1);
    conf_free(&c);
    OK(load(&c, "", ENV("PINNACE_SERVICE_A23456789012345678901234567890BC_COMMAND=x")) == 0 &&
           c.nservices == 0,
       "a longer one is nobody's");
    conf_free(&c);
}

static void makes_and_finds_channels(void) {
    struct conf c;
    OK(load(&c, "[channel my-own.1]\nlisten = tcp:127.0.0.1:1\ntoken-file = /f\n",
            ENV("PINNACE_CHANNEL_LOCAL_MODE=0660", "PINNACE_CHANNEL_MY_OWN_1_TOKEN_FILE=/e",
                "PINNACE_CHANNEL_REMOTE_LISTEN=vsock:9", "PINNACE_CHANNEL_REMOTE_TOKEN=t",
                "PINNACE_CHANNEL_SERVICE_HOST=10.0.0.1", "PINNACE_CHANNEL_LISTEN=x")) == 0,
       "channels: %s", err.text);
    OK(c.nchannels == 3 && c.channels[0]->mode == 0660 &&
           strcmp(c.channels[1]->token_file, "/e") == 0 && !c.channels[1]->token,
       "a known one is found by its variable name; the longest key counts");
    OK(strcmp(c.channels[2]->name, "remote") == 0 && c.channels[2]->listen.port == 9 &&
           strcmp(c.channels[2]->token, "t") == 0 && c.channels[2]->auth == AUTH_TOKEN,
       "a new one is made: %s", c.channels[2]->name);
    conf_free(&c);
    OK(load(&c, "", ENV("PINNACE_CHANNEL_A_LISTEN=tcp:1.2.3.4:0")) < 0 &&
           strcmp(err.text, "environment: PINNACE_CHANNEL_A_LISTEN: channel a.listen: port: '0' is "
                            "not a whole number from 1 to 65535") == 0,
       "says: %s", err.text);
}

static void loads_all_together(void) {
    struct conf c;
    OK(conf_load(&c, NULL, ENV("PINNACE_CONFIG=/tmp/none/such.ini"), &err) == -ENOENT &&
           strstr(err.text, "/tmp/none/such.ini"),
       "PINNACE_CONFIG names the file: %s", err.text);
    OK(conf_load(&c, "/dev/null/x", ENV("PINNACE_CONFIG=/tmp/none/such.ini"), &err) == -ENOTDIR,
       "a path given wins: %s", err.text);
}

static char dumped[1 << 17];
static void collect(void *arg, const char *line) { text_add(arg, "%s\n", line); }

/* A variable may be longer than any line of a file, and hold newlines. */
static void dumps_what_no_line_can_hold(void) {
    static char var[20000];
    struct conf c;
    int n = snprintf(var, sizeof var, "PINNACE_MAIN_COMMAND=x '");
    memset(var + n, 'q', 10000);
    memcpy(var + n + 10000, "'", 2);
    int rc = load(&c, "", ENV(var));
    OK(rc == -E2BIG && strcmp(err.text, "environment: PINNACE_MAIN_COMMAND: value of 10004 bytes, "
                                        "4032 are allowed") == 0,
       "a value that no line of a file could hold is refused: %s", err.text);
    if (rc == 0)
        conf_free(&c);
    OK(load(&c, "", ENV("PINNACE_MAIN_COMMAND=sh -c 'a\nb'", "PINNACE_MAIN_USER= x ")) == 0,
       "newlines: %s", err.text);
    OK(strcmp(c.main.command[2], "a\nb") == 0, "are kept in words");
    OK(strcmp(c.main.user, "x") == 0, "blanks around a value mean nothing, as in a file");
    struct text t = TEXT(dumped);
    conf_dump(&c, collect, &t);
    conf_free(&c);
    OK(load(&c, dumped, ENV("X=1")) == 0, "the dump is an INI file all the same: %s", err.text);
    conf_free(&c);
}

int main(void) {
    overrides_sections();
    ignores_what_is_not_meant();
    bounds_names();
    refuses_bad_values();
    makes_and_finds_services();
    makes_and_finds_channels();
    loads_all_together();
    dumps_what_no_line_can_hold();
    return tap_end();
}
