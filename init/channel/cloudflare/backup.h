/* backup.h — POST /api/backup/create and /api/backup/restore. */
#ifndef CHANNEL_CLOUDFLARE_BACKUP_H
#define CHANNEL_CLOUDFLARE_BACKUP_H

#include "channel/cloudflare/files.h"

void cf_backup_create(struct http_exchange *x, yyjson_val *body);
void cf_backup_restore(struct http_exchange *x, yyjson_val *body);

#endif
