#include "frontgw/rest/rest.h"

#include "frontgw/people/courses.h"

#include <errno.h>

static int sections_list(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *items = NULL;
    int r = gw_sections_list(req->context->people, &actor, gw_param(req, "course"), &items, err);
    return rest_list(res, r, items, err);
}

static int answer_section(struct gw_request *req, struct gw_response *res, int status,
                          const char *id, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    json_t *json = NULL;
    int r = gw_section_get(req->context->people, &actor, gw_param(req, "course"), id, &json, err);
    return rest_json(res, r, status, json, err);
}

static bool times(struct gw_response *res, const json_t *body, struct gw_section *s)
{
    bool locked = s->locked > 0;
    *s = (struct gw_section){
        .kind = s->kind, .title = s->title, .pos = -1, .visible_from_ms = -1, .due_ms = -1};
    s->locked = -1;
    if (!gw_field_int_opt(res, body, "pos", 0, 1000000, &s->pos) ||
        !gw_field_int_opt(res, body, "visible_from_ms", 0, INT64_MAX, &s->visible_from_ms) ||
        !gw_field_int_opt(res, body, "due_ms", 0, INT64_MAX, &s->due_ms) ||
        !gw_field_bool_opt(res, body, "locked", &locked))
        return false;
    if (json_object_get(body, "locked"))
        s->locked = locked;
    return true;
}

static int section_create(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_section section = {0};
    char id[ULID_SIZE];
    if (!gw_field_only(res, req->json, "kind title pos visible_from_ms due_ms") ||
        !gw_field_text(res, req->json, "kind", 1, 16, &section.kind) ||
        !gw_field_text(res, req->json, "title", 1, 200, &section.title) ||
        !times(res, req->json, &section))
        return 0;
    int r =
        gw_section_create(req->context->people, &actor, gw_param(req, "course"), &section, id, err);
    return r ? rest_refuse(res, r, err) : answer_section(req, res, 201, id, err);
}

static int section_get(struct gw_request *req, struct gw_response *res, struct err *err)
{
    return answer_section(req, res, 200, gw_param(req, "section"), err);
}

static int section_change(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    struct gw_section change = {0};
    const char *id = gw_param(req, "section");
    if (!gw_field_only(res, req->json, "title pos visible_from_ms due_ms locked") ||
        !gw_field_text_opt(res, req->json, "title", 1, 200, &change.title) ||
        !times(res, req->json, &change))
        return 0;
    int r =
        gw_section_change(req->context->people, &actor, gw_param(req, "course"), id, &change, err);
    return r ? rest_refuse(res, r, err) : answer_section(req, res, 200, id, err);
}

static int section_delete(struct gw_request *req, struct gw_response *res, struct err *err)
{
    const struct gw_actor actor = rest_actor(req);
    return rest_done(res,
                     gw_section_delete(req->context->people, &actor, gw_param(req, "course"),
                                       gw_param(req, "section"), err),
                     err);
}

#define SECTIONS "/api/v1/courses/{course}/sections"
static const struct gw_route rows[] = {
    {.method = GW_GET,
     .template = SECTIONS,
     .operation = "listSections",
     .handler = sections_list,
     .auth = GW_AUTH_USER,
     .statuses = "200 404",
     .scope = GW_SCOPE_READ},
    {.method = GW_POST,
     .template = SECTIONS,
     .operation = "createSection",
     .handler = section_create,
     .auth = GW_AUTH_USER,
     .body = GW_BODY_JSON,
     .statuses = "201 404 409 422",
     .scope = GW_SCOPE_COURSE},
    {.method = GW_GET,
     .template = SECTIONS "/{section}",
     .operation = "getSection",
     .handler = section_get,
     .auth = GW_AUTH_USER,
     .statuses = "200 404",
     .scope = GW_SCOPE_READ},
    {.method = GW_PATCH,
     .template = SECTIONS "/{section}",
     .operation = "changeSection",
     .handler = section_change,
     .auth = GW_AUTH_USER,
     .body = GW_BODY_JSON,
     .statuses = "200 404 409 422",
     .scope = GW_SCOPE_COURSE},
    {.method = GW_DELETE,
     .template = SECTIONS "/{section}",
     .operation = "deleteSection",
     .handler = section_delete,
     .auth = GW_AUTH_USER,
     .statuses = "204 404 409",
     .scope = GW_SCOPE_COURSE},
};
REST_PART(sections, rows);
