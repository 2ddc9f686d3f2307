"""The pages in the browser, beneath ``/ui``: complete HTML from the server, live by fragments.

How a page is made:

1. A handler in ``pages/`` reads a `Visit` (its query and form as Structs), asks
   ``visit.client`` and answers with a `View`: a template, and a Struct that has all that the
   template shows. It computes; a template only writes.
2. A line in the module's ``PAGES`` gives its path, and the scope that it needs. The modules are
   listed in `qtforge_host.serving.web.pages`.
3. ``templates/NAME.html`` extends ``base.html``. What changes while the page is open is in a
   template of its own, ``_NAME.html``, with one root element that has an id, and is named as the
   view's ``fragment``: the page is live by that alone.
4. What changes something is a form with ``method="post"``. It is answered with `Done`: a sentence
   that says what was done, and where to go. Without scripts the browser is sent there, with htmx
   (``hx-post``) the sentence is put above the page.

Nothing has ``style=``, ``<script>`` with content or ``on...=``: the content security policy allows
neither. Whatever a run, a plugin or a person has written is escaped by Jinja.
"""
