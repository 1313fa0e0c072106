-- Replays: what each is and how far it has come; who holds it takes it forward, until then, and
-- `rest` is set while items of a cancelled one lie about.
--
-- Binaries of the versions before know nothing of them. A delivery in the lane of a replay they
-- send like any other.
CREATE TABLE hooklatch.replays (
    id bigint PRIMARY KEY, project bigint NOT NULL, status bigint NOT NULL, digest text NOT NULL,
    request_key text, head text NOT NULL, progress text NOT NULL, holder bigint NOT NULL,
    held_until bigint NOT NULL, rest boolean NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX replays_project ON hooklatch.replays (project, id);
CREATE INDEX replays_moving ON hooklatch.replays (id) WHERE status <= 1;
CREATE INDEX replays_rest ON hooklatch.replays (id) WHERE rest;
CREATE UNIQUE INDEX replays_unended ON hooklatch.replays (project, digest) WHERE status <= 3;
CREATE UNIQUE INDEX replays_key ON hooklatch.replays (project, request_key)
    WHERE request_key IS NOT NULL;

-- What is still to be done. A delivery of 0 stands for the message as a whole.
CREATE TABLE hooklatch.replay_items (
    replay bigint NOT NULL, message bigint NOT NULL, delivery bigint NOT NULL,
    PRIMARY KEY (replay, message, delivery)
);

-- By which replay a delivery was last sent again; looked into only for lanes of replays.
CREATE TABLE hooklatch.replayed (delivery bigint PRIMARY KEY, replay bigint NOT NULL);
