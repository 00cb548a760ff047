/* mirror.h — what the channel knows of the box, kept up by PID 1's messages, and the JSON
 * documents made from it. */
#ifndef CHANNEL_MIRROR_H
#define CHANNEL_MIRROR_H

#include "base/str.h"
#include "svc/plan.h"
#include "svc/timeline.h"
#include "svc/wire.h"

struct mirror {
    struct wire_box box;
    struct wire_unit units[MAX_UNITS];
    size_t nunits;
    struct wire_mark marks[MAX_MARKS];
    size_t nmarks;
    bool known; /* a first WIRE_BOX has come: the picture is whole */
};

/* Take one message in. False: it makes no sense. */
bool mirror_take(struct mirror *m, const union wire_any *msg);

/* {"version":...,"phase":"serve","ready":true,"seq":7,...,"units":[...]}; times in ms. */
void mirror_status(const struct mirror *m, instant now, struct text *out);

/* {"started_unix_ms":...,"marks":[{"at_ms":0.0,"unit":null,"event":"..."}]} */
void mirror_timeline(const struct mirror *m, struct text *out);

/* "ready", or one line a unit that is not, with its reason. */
void mirror_ready(const struct mirror *m, struct text *out);

#endif
