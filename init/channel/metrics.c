#include "channel/metrics.h"

#include "base/version.h"
#include "svc/fsm.h"

static void head(struct text *t, const char *name, const char *type, const char *help) {
    text_add(t, "# HELP pinnace_%s %s\n# TYPE pinnace_%s %s\n", name, help, name, type);
}

static void one(struct text *t, const char *name, const char *type, const char *help,
                unsigned long long value) {
    head(t, name, type, help);
    text_add(t, "pinnace_%s %llu\n", name, value);
}

static void add_box(struct text *t, const struct channel *ch) {
    const struct wire_box *b = &ch->mirror.box;
    head(t, "build_info", "gauge", "The version, as a label.");
    text_add(t, "pinnace_build_info{version=\"" PINNACE_VERSION "\"} 1\n");
    one(t, "ready", "gauge", "1 while the box is ready.", b->ready);
    head(t, "uptime_seconds", "gauge", "Since the box was started.");
    text_add(t, "pinnace_uptime_seconds %.3f\n",
             (double)instant_since(ch->loop.now, b->started).ns / 1e9);
    if (!instant_is_never(b->ready_at)) {
        head(t, "boot_seconds", "gauge", "From the start until the box was ready first.");
        text_add(t, "pinnace_boot_seconds %.3f\n",
                 (double)instant_since(b->ready_at, b->started).ns / 1e9);
    }
    one(t, "orphans_reaped_total", "counter", "Processes reaped that nobody waited for.",
        b->orphans);
    one(t, "role_restarts_total", "counter", "Processes of pinnace that were started again.",
        b->role_restarts);
    one(t, "bugs_total", "counter", "Things that cannot happen, and did.", b->bugs);
}

/* One family: a line a unit. `state` < 0: the value, else whether the unit is in that state. */
static void add_units(struct text *t, const struct mirror *m) {
    head(t, "unit_state", "gauge", "1 for the state that a unit is in.");
    for (size_t i = 0; i < m->nunits; i++)
        for (int s = 0; s < SVC_NSTATES; s++)
            text_add(t, "pinnace_unit_state{unit=\"%s\",state=\"%s\"} %d\n", m->units[i].name,
                     svc_state_name((enum svc_state)s), m->units[i].state == s);
    head(t, "unit_starts_total", "counter", "How often a unit was started.");
    for (size_t i = 0; i < m->nunits; i++)
        text_add(t, "pinnace_unit_starts_total{unit=\"%s\"} %u\n", m->units[i].name,
                 m->units[i].starts);
    head(t, "unit_failures", "gauge", "Failures in a row.");
    for (size_t i = 0; i < m->nunits; i++)
        text_add(t, "pinnace_unit_failures{unit=\"%s\"} %u\n", m->units[i].name,
                 m->units[i].failures);
}

static void add_jobs(struct text *t, const struct jobs *js) {
    one(t, "jobs_running", "gauge", "Jobs that run.", js->nrunning);
    one(t, "jobs_ended_kept", "gauge", "Ended jobs that can still be asked for.", js->nended);
    one(t, "jobs_started_total", "counter", "Jobs started.", js->started_total);
    one(t, "jobs_failed_total", "counter", "Jobs that never executed.", js->failed_total);
    one(t, "jobs_timed_out_total", "counter", "Jobs ended by their timeout.", js->timed_out_total);
    one(t, "job_output_bytes_total", "counter", "Bytes that jobs have printed.", js->output_total);
    one(t, "job_output_kept_bytes", "gauge", "Bytes of output kept of ended jobs.", js->kept);
}

static void add_http(struct text *t, const struct http_server *s) {
    one(t, "http_connections", "gauge", "Connections of clients.", s->n);
    one(t, "http_connections_total", "counter", "Connections accepted.", s->accepted);
    one(t, "http_refused_total", "counter", "Connections turned away, as there were too many.",
        s->refused);
    one(t, "http_received_bytes_total", "counter", "Bytes received from clients.", s->bytes_in);
    one(t, "http_sent_bytes_total", "counter", "Bytes sent to clients.", s->bytes_out);
    head(t, "http_answers_total", "counter", "Answers by class of status.");
    for (int c = 1; c <= 5; c++)
        text_add(t, "pinnace_http_answers_total{class=\"%dxx\"} %llu\n", c,
                 (unsigned long long)s->by_class[c]);
}

void metrics_text(const struct channel *ch, struct text *t) {
    add_box(t, ch);
    add_units(t, &ch->mirror);
    add_jobs(t, &ch->jobs);
    one(t, "file_operations_total", "counter", "File operations begun.", ch->files.total);
    one(t, "file_operations_failed_total", "counter", "File operations that failed.",
        ch->files.failed);
    add_http(t, &ch->server);
}
