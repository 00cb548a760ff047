/* kill.c — `pinnace kill`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"

int verb_kill(const struct args *a) {
    const char *name = args_value(a, "signal"), *scope = args_value(a, "scope");
    int sig = signal_number(name ? name : "KILL"), status = CLI_OK;
    char json[64];
    if (sig < 0)
        return cli_usage(a, "'%s' is not a signal", name);
    if (!scope)
        scope = "tree";
    if (strcmp(scope, "tree") != 0 && strcmp(scope, "group") != 0 && strcmp(scope, "leader") != 0)
        return cli_usage(a, "'%s' is not tree, group or leader", scope);
    (void)snprintf(json, sizeof json, "{\"signal\":%d,\"scope\":\"%s\"}", sig, scope);
    for (int i = 0; i < a->nwords; i++) {
        char target[TARGET_TEXT];
        struct text t = TEXT(target);
        struct err e = { 0 };
        text_add(&t, "/v1/jobs");
        target_add(&t, NULL, a->words[i]);
        text_add(&t, "/signal");
        yyjson_doc *doc = client_call(a->host, target, json, &e);
        if (!doc && e.code == EEXIST) /* says what is so, not of which */
            (void)err_wrap(&e, "%s", a->words[i]);
        if (doc)
            (void)puts(a->words[i]);
        else
            status = cli_fail(&e);
        yyjson_doc_free(doc);
    }
    return status;
}
