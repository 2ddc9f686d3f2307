"""Invoices whose values stand in running sentences, as in a mail."""

# ruff: noqa: E501, RUF001 - it has sentences in Russian

from __future__ import annotations

import textwrap
from typing import Any

import pytest

from qtforge_builtin_plugins.documents.facts.invoices import looks_like_invoice

SENTENCES = [
    ('en', 'We have today, 8 May 2026, issued invoice KX-4471 in the amount of GBP 238.00 inclusive of VAT for the services performed in April. Please remit by 9 June 2026.'),
    ('en', 'Our invoice no. KX-4471, dated 8 May 2026, comes to £238.00 all in and is due on 9 June 2026.'),
    ('en', 'Further to your order of 2 May 2026 worth 500.00 GBP, we are charging you 238.00 GBP with invoice KX-4471 of 8 May 2026, payable by 9 June 2026.'),
    ('en', 'This invoice (KX-4471) was raised on 8 May 2026. You owe us a total of 238.00 GBP, which must reach us before 9 June 2026.'),
    ('de', 'mit Rechnung KX-4471 vom 8. Mai 2026 stellen wir Ihnen 238,00 € in Rechnung. Der Betrag ist bis zum 9. Juni 2026 zu überweisen. Geliefert haben wir am 2. Mai 2026.'),
    ('de', 'am 08.05.2026 haben wir Ihnen die Rechnung KX-4471 über einen Betrag von 238,00 EUR (inkl. 38,00 EUR USt) ausgestellt, welche am 09.06.2026 fällig wird.'),
    ('de', 'unsere Rechnung Nr. KX-4471 vom 08.05.2026 zu Ihrer Bestellung vom 02.05.2026 beläuft sich auf 238,00 EUR; zahlbar bis 09.06.2026.'),
    ('fr', "Nous avons émis le 08/05/2026 la facture KX-4471, qui s'élève à 238,00 € TTC et arrive à échéance le 09/06/2026."),
    ('fr', 'Suite à votre commande du 02/05/2026, vous trouverez ci-joint la facture n° KX-4471 datée du 08/05/2026 pour un montant de 238,00 € dont 38,00 € de TVA, à payer avant le 09/06/2026.'),
    ('nl', 'Op 08-05-2026 factureerden wij u onder nummer KX-4471 een bedrag van € 238,00 incl. btw. Gelieve te betalen vóór 09-06-2026.'),
    ('nl', 'Bijgaand factuur KX-4471 d.d. 08-05-2026. Het totaal bedraagt € 238,00 en dient uiterlijk 09-06-2026 voldaan te zijn; geleverd op 02-05-2026.'),
    ('it', 'in allegato la fattura n. KX-4471 emessa il 08/05/2026, che ammonta a € 238,00 IVA compresa. Scadenza del pagamento: 09/06/2026.'),
    ('it', "Con la presente Vi fatturiamo in data 08/05/2026 (fattura KX-4471) l'importo complessivo di 238,00 euro per la consegna del 02/05/2026, da saldare entro il 09/06/2026."),
    ('es', 'Adjuntamos la factura KX-4471, emitida el 08/05/2026, cuyo total asciende a 238,00 € y que vence el 09/06/2026.'),
    ('es', 'Les facturamos hoy, 08/05/2026, con el número KX-4471 la suma de 238,00 euros por los servicios prestados hasta el 02/05/2026. Rogamos el pago antes del 09/06/2026.'),
    ('pt', 'Segue em anexo a fatura KX-4471, emitida em 08/05/2026, que perfaz 238,00 € com IVA incluído e vence em 09/06/2026.'),
    ('pt', 'Em 08/05/2026 faturámos a V. Exas. o montante de 238,00 € através da fatura n.º KX-4471, a liquidar até 09/06/2026.'),
    ('pl', 'w załączeniu faktura VAT nr KX-4471 wystawiona dnia 08.05.2026, opiewająca na 238,00 zł brutto. Prosimy o zapłatę do 09.06.2026.'),
    ('pl', 'Dnia 08.05.2026 wystawiliśmy Państwu fakturę KX-4471. Wartość faktury wynosi 238,00 PLN, termin płatności upływa 09.06.2026.'),
    ('sv', 'Vi har den 8 maj 2026 utfärdat faktura nr KX-4471 på beloppet 238,00 kr inkl. moms. Vänligen betala senast den 9 juni 2026.'),
    ('sv', 'Bifogat finner ni faktura KX-4471 daterad 2026-05-08. Summan uppgår till 238,00 SEK och förfaller 2026-06-09. Varorna levererades 2026-05-02.'),
    ('da', 'Vi har d. 08-05-2026 faktureret jer 238,00 kr. inkl. moms med faktura nr. KX-4471, som forfalder den 09-06-2026.'),
    ('da', 'Vedhæftet er faktura KX-4471 af 8. maj 2026. Beløbet udgør 238,00 kr. og bedes indbetalt senest 9. juni 2026.'),
    ('ru', 'Высылаем Вам счёт № KX-4471, выставленный 08.05.2026. Общая сумма составляет 238,00 руб., включая НДС 38,00 руб. Срок оплаты — до 09.06.2026.'),
    ('ru', '08.05.2026 нами выставлен счет № KX-4471 на 238,00 рублей за услуги, оказанные 02.05.2026. Оплатите, пожалуйста, не позднее 09.06.2026.'),
    ('tr', "08.05.2026 tarihinde düzenlenen KX-4471 numaralı faturanın toplam tutarı KDV dahil 238,00 TL'dir. Ödemenin 09.06.2026 tarihine kadar yapılmasını rica ederiz."),
    ('tr', "Size 02.05.2026 tarihli siparişiniz için KX-4471 no'lu ve 08.05.2026 tarihli faturayı gönderiyoruz. Fatura bedeli 238,00 TL olup son ödeme günü 09.06.2026'dır."),
]  # fmt: skip
LATER = [
    ('en', 'Attached is bill no. 7714/26, which was drawn up on 7 October 2026; the grand total comes to EUR 1,450.50 and we would ask you to settle it no later than 6 November 2026.'),
    ('en', 'For consulting carried out in September we have today (7 October 2026) raised invoice number 7714/26 for a sum of 1,450.50 EUR, VAT included. Payment is expected by 6 November 2026.'),
    ('en', 'Your account has been charged 1,450.50 EUR under our invoice 7714/26 dated 7 October 2026. Payment falls due on 6 November 2026.'),
    ('de', 'Hiermit erlauben wir uns, Ihnen für die im September erbrachten Leistungen gemäß Rechnung Nr. 7714/26 vom 07.10.2026 einen Gesamtbetrag von 1.450,50 EUR zu berechnen. Wir bitten um Überweisung bis 06.11.2026.'),
    ('fr', "Vous trouverez en pièce jointe notre facture 7714/26 établie le 07/10/2026. Le montant s'élève à 1 450,50 € TTC, que nous vous prions de régler au plus tard le 06/11/2026."),
    ('fr', "Pour les prestations réalisées en septembre, nous avons établi en date du 07/10/2026 la facture 7714/26 d'un montant de 1 450,50 euros, payable le 06/11/2026."),
    ('nl', 'Voor de in september verrichte werkzaamheden sturen wij u factuur nr. 7714/26, opgemaakt op 07-10-2026, voor een totaalbedrag van € 1.450,50. Wij verzoeken u dit bedrag vóór 06-11-2026 over te maken.'),
    ('nl', 'Het bedrag van onze factuur 7714/26 van 7 oktober 2026 is € 1.450,50 en moet op 6 november 2026 zijn betaald.'),
    ('it', "Alleghiamo la nostra fattura n. 7714/26, datata 07/10/2026, dell'importo di 1.450,50 euro; La preghiamo di provvedere al pagamento entro il 06/11/2026."),
    ('it', 'Il 07/10/2026 abbiamo emesso nei Vostri confronti la fattura 7714/26 per complessivi 1.450,50 EUR, che scade il 06/11/2026.'),
    ('es', 'Con fecha 07/10/2026 hemos expedido la factura n.º 7714/26 por valor de 1.450,50 €, IVA incluido, cuyo pago debe efectuarse hasta el 06/11/2026.'),
    ('es', 'El total de nuestra factura 7714/26, del 7 de octubre de 2026, es de 1.450,50 euros y deberá abonarse antes del 6 de noviembre de 2026.'),
    ('pt', 'No dia 07/10/2026 emitimos a fatura n.º 7714/26, cujo valor total é de 1.450,50 €, devendo o pagamento ser feito até 06/11/2026.'),
    ('pt', 'Vimos enviar a fatura 7714/26, datada de 07/10/2026, na importância de 1.450,50 €, com vencimento a 06/11/2026.'),
    ('pl', 'Uprzejmie informujemy, że dnia 07.10.2026 została wystawiona faktura nr 7714/26 na sumę 1450,50 zł, którą prosimy opłacić do dnia 06.11.2026.'),
    ('pl', 'Przesyłamy w załączeniu fakturę 7714/26 z dnia 7 października 2026 r. Do zapłaty jest łącznie 1450,50 PLN w terminie do 6 listopada 2026 r.'),
    ('sv', 'Vår faktura 7714/26 utfärdades den 7 oktober 2026 och lyder på 1 450,50 SEK inklusive moms. Förfallodagen är den 6 november 2026.'),
    ('sv', 'För arbetet i september debiterar vi er enligt faktura 7714/26 från den 7 oktober 2026 sammanlagt 1 450,50 kronor, att betala före den 6 november 2026.'),
    ('da', 'Vores faktura nr. 7714/26 er udstedt den 7. oktober 2026 og lyder på 1.450,50 kr. Den forfalder til betaling den 6. november 2026.'),
    ('da', 'For arbejdet i september opkræver vi jer hermed 1.450,50 DKK ifølge faktura 7714/26 dateret 07-10-2026, som bedes betalt senest 06-11-2026.'),
    ('ru', 'Настоящим направляем счёт № 7714/26, составленный 7 октября 2026 г., на общую сумму 1450,50 руб., который просим оплатить до 6 ноября 2026 г.'),
    ('tr', 'Eylül ayında yapılan işler için 07.10.2026 tarihinde 7714/26 sayılı faturayı kestik. Toplam 1.450,50 TL tutarındaki borcunuzu 06.11.2026 tarihine kadar ödemenizi rica ederiz.'),
    ('tr', '7714/26 numaralı ve 07.10.2026 tarihli faturamızın bedeli KDV dahil 1.450,50 TL olup vadesi 06.11.2026 günü dolmaktadır.'),
]  # fmt: skip
OTHERS = [
    ('en', 'Please find our invoice KX-4471. Your order of 2 May 2026 amounted to 500.00 GBP.', {'date': None, 'total': None}),
    ('en', 'We enclose invoice KX-4471 of 8 May 2026. Our previous invoice KX-4400 of 1 April 2026 for 90.00 GBP is still unpaid.', {'date': '2026-05-08', 'total': None}),
    ('en', 'With invoice KX-4471 of 8 May 2026 we charge net 200.00 GBP plus 38.00 GBP VAT.', {'date': '2026-05-08', 'total': None}),
    ('de', 'anbei die Rechnung KX-4471. Ihre Bestellung vom 02.05.2026 über 500,00 EUR wurde am 04.05.2026 geliefert.', {'date': None, 'total': None}),
    ('en', 'Invoice KX-4471 of 8 May 2026. A late fee of 40.00 GBP will be charged after 9 June 2026. Please pay the deposit of 50.00 GBP first.', {'total': None, 'date': '2026-05-08'}),
    ('en', 'You have already paid 100.00 GBP of invoice KX-4471 dated 8 May 2026 and the remaining 138.00 GBP is due by 9 June 2026.', {'date': '2026-05-08', 'due_date': '2026-06-09'}),
    ('en', 'Invoice KX-4471\nThe delivery took place on 2 May 2026 and we hope that you are happy with the goods that we sent.', {'date': None, 'number': 'KX-4471', 'total': None}),
    ('en', 'Thank you for your order of 2 May 2026 for a total of 500.00 GBP. The invoice KX-4471 will follow with the goods on 4 May 2026.', {'total': None}),
    ('en', 'Our invoice KX-4471 of 8 May 2026 is for 200.00 GBP net plus 38.00 GBP VAT, that is a total of 238.00 GBP, due 9 June 2026.', {'date': '2026-05-08', 'total': '238.00', 'net': '200.00', 'tax': '38.00', 'due_date': '2026-06-09'}),
    ('en', 'This credit note 991 refers to invoice KX-4471 of 8 May 2026 for 238.00 GBP which you received last month.', {'total': None}),
    ('de', 'Rechnung KX-4471 vom 08.05.2026: Wir haben für Sie 3 Stunden zu je 80,00 EUR gearbeitet und 2 Fahrten für 20,00 EUR unternommen.', {'total': None, 'date': '2026-05-08'}),
    ('de', 'unsere letzte Rechnung KX-4400 vom 01.04.2026 über 90,00 EUR ist noch offen. Heute senden wir Ihnen Rechnung KX-4471 vom 08.05.2026 über 238,00 EUR.', {'total': '238.00', 'date': '2026-05-08', 'number': 'KX-4471'}),
    ('de', 'Für Ihren Auftrag vom 02.05.2026 über insgesamt 500,00 EUR erhalten Sie in den nächsten Tagen die Rechnung KX-4471 von uns.', {'total': None, 'date': None}),
    ('pl', 'W nawiązaniu do Państwa zamówienia z dnia 02.05.2026 o wartości 500,00 PLN przesyłamy fakturę nr KX-4471 z dnia 08.05.2026.', {'date': '2026-05-08', 'number': 'KX-4471', 'total': None}),
    ('tr', '02.05.2026 tarihli ve toplam 500,00 TL tutarındaki siparişiniz için KX-4471 numaralı faturamızı 08.05.2026 tarihinde düzenledik.', {'date': '2026-05-08', 'number': 'KX-4471', 'total': None}),
    ('ru', 'По Вашему заказу от 02.05.2026 на сумму 500,00 руб. направляем счет № KX-4471 от 08.05.2026, подлежащий оплате до 09.06.2026.', {'date': '2026-05-08', 'number': 'KX-4471', 'total': None}),
    ('sv', 'Tack för er order den 2 maj 2026 på totalt 500,00 kr. Vi återkommer med faktura KX-4471 när varorna har levererats den 4 maj 2026.', {'total': None, 'number': 'KX-4471', 'date': None}),
    ('it', 'Con riferimento al Vostro ordine del 02/05/2026 di 500,00 EUR inviamo la fattura KX-4471 del 08/05/2026, netto 200,00 EUR più IVA 38,00 EUR, totale 238,00 EUR.', {'date': '2026-05-08', 'total': '238.00', 'net': '200.00', 'tax': '38.00'}),
]  # fmt: skip
UNRELATED = [
    ('en', 'The invoice 7714/26 is for the maintenance of a building with a value of 900,000.00 EUR and will be sent on 3 March 2026.'),
    ('en', 'Invoice 7714/26: your credit limit is 5,000.00 EUR and your plan renews on 3 March 2026 as agreed.'),
    ('en', 'With invoice 7714/26 we remind you that the contract of 3 March 2026 has a yearly volume of 5,000.00 EUR.'),
    ('en', 'Please note that our bank account changed on 3 March 2026; invoice 7714/26 is attached for your information.'),
    ('de', 'Die Rechnung 7714/26 liegt bei. Ab einem Bestellwert von 500,00 EUR liefern wir frei Haus, erstmals am 03.03.2026.'),
    ('de', 'Zu Rechnung 7714/26: Bei verspäteter Zahlung berechnen wir Ihnen eine Pauschale von 40,00 EUR nach Mahnung.'),
    ('de', 'Mit Rechnung 7714/26 erhalten Sie 3 % Skonto, also 12,00 EUR, bei Zahlung bis zum 03.03.2026 auf unser Konto.'),
    ('fr', 'La facture 7714/26 est jointe. En cas de retard, une indemnité forfaitaire de 40,00 € sera facturée pour frais de recouvrement.'),
    ('fr', 'SARL au capital de 10 000,00 €. Vous trouverez ci-joint la facture 7714/26 que nous avons le plaisir de vous adresser.'),
    ('it', 'La fattura 7714/26 è allegata. Capitale sociale 10.000,00 EUR interamente versato, come da visura del 03/03/2026.'),
    ('es', 'La factura 7714/26 se adjunta. En caso de demora se cobrará una penalización de 40,00 EUR por gastos de gestión.'),
    ('nl', 'Bij te late betaling van factuur 7714/26 brengen wij u 40,00 EUR incassokosten in rekening, vanaf 03-03-2026.'),
    ('pl', 'Faktura 7714/26 w załączniku. Kapitał zakładowy wynosi 50 000,00 PLN i został wpłacony w całości dnia 03.03.2026.'),
    ('sv', 'Faktura 7714/26 bifogas. Vid sen betalning debiteras en påminnelseavgift på 60,00 SEK enligt lag från den 3 mars 2026.'),
    ('tr', 'Sayın müşterimiz, 7714/26 numaralı fatura ektedir. Gecikme halinde 40,00 TL masraf alınır ve sözleşme 03.03.2026 tarihinde yenilenir.'),
    ('ru', 'Счет № 7714/26 прилагается. Уставный капитал составляет 10 000,00 руб., зарегистрирован 03.03.2026 в Москве.'),
    ('en', 'Invoice 7714/26 is attached. Two licences at 50.00 EUR each were renewed on 3 March 2026 as you asked us to.'),
    ('en', 'Invoice 7714/26 is attached. We have received your payment of 50.00 EUR on 3 March 2026, for which we thank you.'),
]  # fmt: skip
GRIDS = [
    ('de', 'Rechnung KX-4471\nRechnungstag: 08.05.2026\nBetrag 238,00 EUR', {'date': '2026-05-08', 'total': '238.00'}),
    ('de', 'Rechnung\nRechnungstag\tRechnungsnummer\tFälligkeit\n08.05.2026\tKX-4471\t09.06.2026\nGesamtbetrag\t238,00 EUR', {'date': '2026-05-08', 'number': 'KX-4471', 'due_date': '2026-06-09', 'total': '238.00'}),
    ('en', 'Invoice\nInvoice no.\tCustomer no.\tInvoice date\tDue date\nKX-4471\tC-19\t8 May 2026\t9 June 2026\nTotal\t238.00 GBP', {'date': '2026-05-08', 'number': 'KX-4471', 'due_date': '2026-06-09', 'total': '238.00'}),
    ('en', 'INVOICE\nDate\n8 May 2026\nNumber\nKX-4471\nDue\n9 June 2026\nNet     VAT     Total\n200.00     38.00     238.00', {'date': '2026-05-08', 'number': 'KX-4471', 'due_date': '2026-06-09', 'total': '238.00', 'net': '200.00'}),
    ('fr', 'FACTURE\nN° de facture          Date de facture          Échéance\nKX-4471                08/05/2026               09/06/2026\nTotal HT 200,00 €\nTVA 38,00 €\nTotal TTC 238,00 €', {'date': '2026-05-08', 'number': 'KX-4471', 'due_date': '2026-06-09', 'total': '238.00'}),
    ('es', 'FACTURA\nNúmero de factura | Fecha de factura | Vencimiento\nKX-4471 | 08/05/2026 | 09/06/2026\nTotal | 238,00 €', {'date': '2026-05-08', 'number': 'KX-4471', 'due_date': '2026-06-09', 'total': '238.00'}),
    ('nl', 'FACTUUR\nFactuurnummer\tKX-4471\tFactuurdatum\t08-05-2026\nVervaldatum\t09-06-2026\tKlant\tC-19\nTotaal\t238,00 EUR', {'date': '2026-05-08', 'number': 'KX-4471', 'due_date': '2026-06-09', 'total': '238.00'}),
    ('en', 'Fell Ltd\nInvoice KX-4471   Date: 8 May 2026   Page 1 of 2\nWidgets 10 10.00 100.00\nCarried forward 100.00\nFell Ltd\nInvoice KX-4471   Date: 8 May 2026   Page 2 of 2\nBrought forward 100.00\nBolts 10 10.00 100.00\nNet 200.00\nVAT 19% 38.00\nTotal GBP 238.00\nDue date: 9 June 2026', {'date': '2026-05-08', 'number': 'KX-4471', 'due_date': '2026-06-09', 'total': '238.00', 'net': '200.00'}),
    ('de', 'Fell GmbH\nRechnung Nr.   KX-4471     Rechnungsdatum   08.05.2026     Seite 1/2\nSchrauben 10 10,00 100,00\nÜbertrag 100,00\nFell GmbH\nRechnung Nr.   KX-4471     Rechnungsdatum   08.05.2026     Seite 2/2\nÜbertrag 100,00\nMuttern 10 10,00 100,00\nNetto 200,00\n19 % MwSt 38,00\nGesamt EUR 238,00\nZahlbar bis 09.06.2026', {'date': '2026-05-08', 'number': 'KX-4471', 'due_date': '2026-06-09', 'total': '238.00'}),
    ('it', 'FATTURA\nData documento\nNumero documento\nScadenza\n08/05/2026\nKX-4471\n09/06/2026\nTotale documento € 238,00', {'date': '2026-05-08', 'number': 'KX-4471', 'due_date': '2026-06-09', 'total': '238.00'}),
    ('pl', 'FAKTURA\nNumer faktury\tData wystawienia\tData sprzedaży\tTermin płatności\nKX-4471\t08.05.2026\t02.05.2026\t09.06.2026\nRazem do zapłaty\t238,00 zł', {'date': '2026-05-08', 'number': 'KX-4471', 'due_date': '2026-06-09', 'total': '238.00'}),
]  # fmt: skip


def values(enrich: Any, language: str, text: str) -> dict[str, str | None]:
    invoice = enrich(text, language, "financial").invoice
    assert invoice is not None
    return {
        "number": invoice.number,
        "date": invoice.date,
        "due_date": invoice.due_date,
        "total": invoice.total.value if invoice.total else None,
        "net": invoice.net.value if invoice.net else None,
        "tax": invoice.taxes[0].amount.value if invoice.taxes else None,
    }


@pytest.mark.parametrize("is_wrapped", [False, True], ids=["one line", "wrapped"])
@pytest.mark.parametrize(("language", "sentence"), SENTENCES)
def test_a_sentence_has_number_date_last_day_and_total(
    enrich: Any, language: str, sentence: str, is_wrapped: bool
) -> None:
    lines = "\n".join(textwrap.wrap(sentence, 72, break_on_hyphens=False))
    text = f"Fell Ltd\n\n{lines}\n\nJane Fell\n" if is_wrapped else sentence
    found = values(enrich, language, text)
    assert (found["number"], found["date"], found["due_date"], found["total"]) == (
        "KX-4471", "2026-05-08", "2026-06-09", "238.00",
    )  # fmt: skip
    assert looks_like_invoice(text)


@pytest.mark.parametrize(("language", "sentence"), LATER)
def test_a_total_in_thousands_is_read_from_a_sentence(
    enrich: Any, language: str, sentence: str
) -> None:
    found = values(enrich, language, sentence)
    assert (found["number"], found["date"], found["due_date"]) == (
        "7714/26", "2026-10-07", "2026-11-06",
    )  # fmt: skip
    assert float(found["total"] or 0) == 1450.5
    assert looks_like_invoice(sentence)


@pytest.mark.parametrize(("sum_", "total"), [("1\n450,50 SEK", None), ("1 450,50\nSEK", "1450.50")])
def test_a_number_over_two_lines_is_not_read_from_its_middle(
    enrich: Any, sum_: str, total: str | None
) -> None:
    text = f"Vår faktura 7714/26 utfärdades den 7 oktober 2026 och lyder på {sum_} inklusive moms."
    assert values(enrich, "sv", text)["total"] == total


def test_the_year_of_a_day_at_a_lines_end_is_no_sum(enrich: Any) -> None:
    text = "Faktura 7714/26\nDo zapłaty jest łącznie 1450,50 PLN do 6 listopada 2026 r."
    assert values(enrich, "pl", text)["total"] == "1450.50"


@pytest.mark.parametrize(("language", "text", "expected"), OTHERS)
def test_the_values_of_another_thing_are_not_the_invoices(
    enrich: Any, language: str, text: str, expected: dict[str, str | None]
) -> None:
    found = values(enrich, language, text)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(("language", "text"), UNRELATED)
def test_days_and_sums_of_unrelated_things_are_not_taken(
    enrich: Any, language: str, text: str
) -> None:
    found = values(enrich, language, text)
    assert (found["number"], found["date"], found["total"]) == ("7714/26", None, None)


@pytest.mark.parametrize(("language", "text", "expected"), GRIDS)
def test_values_stand_below_or_beside_their_labels_in_a_grid(
    enrich: Any, language: str, text: str, expected: dict[str, str | None]
) -> None:
    found = values(enrich, language, text)
    assert {name: found[name] for name in expected} == expected


def test_an_unknown_languages_sentences_give_no_total(enrich: Any) -> None:
    text = "Invoice KX-4471: we invoice you 238.00 GBP for the work that we did for you."
    assert values(enrich, "fi", text)["total"] is None


@pytest.mark.parametrize(
    ("language", "text", "total"),
    [
        (
            "de",
            "Rechnung KX-4471\nFür den Unterricht sind 402,34 Euro angefallen. Bitte überweisen "
            "Sie diesen Betrag bis 31.01.2026. Ab Januar kostet die Stunde 40,00 Euro.",
            "402.34",
        ),
        (
            "nl",
            "Factuur KX-4471\nDe kosten zijn € 75,00 per leerling. Wilt u dit bedrag vóór 1 "
            "december overmaken?",
            "75.00",
        ),
        (
            "sv",
            "Faktura KX-4471\nAvgiften är 600 kr. Vänligen betala beloppet senast den 31 oktober.",
            "600",
        ),
        (
            "en",
            "Invoice KX-4471\nThe lesson was 90 GBP and the book 20 GBP. Please pay this amount "
            "by 3 May 2026.",
            None,
        ),
    ],
)
def test_the_amount_that_the_next_sentence_asks_to_pay_is_the_total(
    enrich: Any, language: str, text: str, total: str | None
) -> None:
    assert values(enrich, language, text)["total"] == total
