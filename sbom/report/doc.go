// Package report writes what a build made so that a person can read it without knowing
// forge: one self-contained HTML page, one JSON document of the same facts, and a summary
// in Markdown for CI. It also says what differs between two builds.
//
// A Report is plain values. Whoever built, listed, judged or signed the image fills it in;
// this package opens no image, asks nobody and reads no clock, so the same facts give the
// same bytes.
//
// Names, versions, licences and descriptions in it were written by strangers. What the page
// shows has passed show: control characters, invisible ones and those that turn text around
// are written as escapes, long text is cut and says so. html/template escapes it for its
// place, the page's Content-Security-Policy allows no script, no request and no form, and
// nothing but an https address becomes a link. Page and summary are bounded whatever the
// image holds: what is left out is counted there and stands in the JSON document.
//
// A document of before is read strictly (Read): one format, no unknown field, nothing
// behind it, bounded size. It is used to say what changed, never to skip a check.
package report
