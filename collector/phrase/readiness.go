package phrase

import (
	"strings"

	"communewatch/collector/health"
	"communewatch/collector/readiness"
	"communewatch/probes"
)

// Level names a rung of the readiness ladder.
func Level(l Lang, level readiness.Level) string {
	p := phraser{lang: l}
	switch level {
	case readiness.Ping:
		return p.pick("Có trả lời", "Answers at all")
	case readiness.Port:
		return p.pick("Mở cổng hoặc trang web", "Port or web page answers")
	case readiness.Signalling:
		return p.pick("Trả lời SIP hoặc mở cổng báo hiệu H.323", "Answers SIP or takes H.323 signalling connections")
	case readiness.Registration:
		return p.pick("Đã nhận dạng và đăng ký", "Identified and registered")
	case readiness.Quality:
		return p.pick("Cuộc gọi gần đây đạt chất lượng", "Recent call went well")
	}
	return p.pick("Không trả lời", "Does not answer")
}

// Endpoint says in a sentence how far an endpoint is known to be ready.
func Endpoint(l Lang, e readiness.Endpoint) string {
	p := phraser{lang: l}
	switch {
	case !e.Known:
		return p.pick("Chưa có kết quả mới", "Nothing fresh is known")
	case e.Level == readiness.None:
		return Level(l, e.Level)
	}
	text := Level(l, e.Level)
	if e.Level == readiness.Signalling {
		switch e.Rungs[e.Level].Kind { // of the check that says so
		case probes.KindSIP:
			text = p.pick("Trả lời SIP", "Answers SIP")
		case probes.KindH323: // a connection, which is no call
			text = p.pick("Mở cổng báo hiệu H.323", "Takes H.323 signalling connections")
		}
	}
	return p.pick("Mức ", "Level ") + p.number(float64(e.Level), 0) + "/" + p.number(float64(readiness.Quality), 0) + ": " + lower(text)
}

// Stop says in a sentence why a rung is not reached, "" for one that is.
func Stop(l Lang, r readiness.Rung) string {
	p := phraser{lang: l}
	var text string
	switch r.Code {
	case readiness.CodeNone:
		return ""
	case readiness.CodeNoAnswer:
		return p.outcome(health.Reason{Check: health.CheckID{Target: r.Target, Kind: r.Kind}, Outcome: r.Outcome})
	case readiness.CodeUnchecked:
		text = p.pick("Chưa có phép đo nào cho mức này", "No check looks at this level")
	case readiness.CodeStale:
		text = p.pick("Chưa có kết quả mới từ {t}", "Nothing fresh from {t}")
	case readiness.CodeUnregistered:
		text = p.pick("{t} chưa đăng ký được với gatekeeper hoặc máy chủ SIP", "{t} is registered with neither gatekeeper nor SIP server")
	case readiness.CodeNoRegistration:
		text = p.pick("{t} đang tắt chức năng đăng ký", "{t} has registration switched off")
	case readiness.CodeNotTold:
		text = p.pick("{t} không cho biết trạng thái đăng ký qua SNMP", "{t} does not tell over SNMP whether it is registered")
	case readiness.CodeNoCall:
		text = p.pick("{t} chưa có số liệu cuộc gọi nào trong 24 giờ qua", "{t} told of no call in the last 24 hours")
	case readiness.CodeBadCall:
		text = p.pick("Cuộc gọi gần nhất của {t} mất {v} gói tin", "The newest call of {t} lost {v} of its packets")
	}
	return strings.NewReplacer("{t}", r.Target, "{v}", p.percent(r.Loss)).Replace(text)
}
