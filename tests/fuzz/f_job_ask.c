/* A JSON body that starts a job: it is refused in words, or gives a spec that a job can be started
 * with. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel/native/ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct job_ask *a) {
    const struct job_spec *s = &a->spec;
    if (!s->argv[0] || !s->argv[0][0] || strlen(s->tag) >= JOB_TEXT || strlen(s->key) >= JOB_TEXT)
        abort();
    for (const char *const *v = s->env; v && *v; v++)
        if ((*v)[0] == '=' || (*v)[0] == '\0')
            abort();
    if (s->timeout.ns <= 0 || s->kill_after.ns < 0 || s->keep > MAX_JOB_OUTPUT)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    yyjson_doc *doc = yyjson_read((const char *)data, size, 0);
    struct job_ask a;
    struct err e = { 0 };
    int rc = job_ask_parse(&a, yyjson_doc_get_root(doc), true, &e);
    if (rc == 0)
        check(&a);
    else if (e.code != -rc || !e.text[0])
        abort();
    job_ask_release(&a);
    yyjson_doc_free(doc);
    return 0;
}
